"""The causal architectures of transformers that can be made tiny, with random weights that have opinions."""

from __future__ import annotations

from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

_SIZES = {
    1: "n_group topk_group n_shared_experts moe_num_shared_experts num_shared_experts num_nextn_predict_layers "
    "pretraining_tp first_k_dense_replace",
    2: "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers num_decoder_layers "
    "num_encoder_layers num_key_value_heads num_experts_per_tok num_experts_per_token moe_topk moe_k moe_top_k "
    "num_blocks num_global_key_value_heads",
    4: "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads "
    "num_encoder_attention_heads num_decoder_attention_heads num_local_experts num_experts n_routed_experts "
    "moe_num_experts",
    8: "head_dim qk_rope_head_dim qk_nope_head_dim v_head_dim d_kv q_lora_rank kv_lora_rank global_head_dim "
    "swa_head_dim swa_v_head_dim index_head_dim rotary_dim",
    32: "hidden_size d_model n_embd dim embed_dim hidden_dim embedding_size word_embed_proj_dim model_dim lru_width "
    "d_embed emb_dim",
    64: "intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim n_inner d_inner moe_intermediate_size "
    "ffn_hidden_size dim_ff shared_expert_intermediate_size intermediate_size_mlp ffn_hidden_dim mlp_hidden_size "
    "expert_ffn_hidden_size",
    262: "vocab_size vocab_size_per_layer_input n_words",
    512: "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length max_target_positions",
}
_SIZE = {name: size for size, names in _SIZES.items() for name in names.split()}
_MLA: dict[str, Any] = {"num_key_value_heads": 4}
_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8}
_OWN: dict[str, dict[str, Any]] = {
    "axk1": _MLA,
    "axk2": _MLA,
    "bailing_hybrid": _MLA,
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "deepseek_v2": {**_MLA, "num_experts_per_tok": 2, "n_routed_experts": 4, "moe_intermediate_size": 64},
    "deepseek_v3": _MLA,
    "deepseek_v32": _MLA,
    "dots1": {"num_experts_per_tok": 2, "n_routed_experts": 4, "n_shared_experts": 1},
    "falcon_h1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_state": 8, "mamba_chunk_size": 16},
    "glm4_moe_lite": _MLA,
    "glm_moe_dsa": _MLA,
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {**_MAMBA, "layer_types": ["mamba", "attention"]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "longcat_flash": _MLA,
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8},
    "minicpm3": _MLA,
    "ministral": {"head_dim": 8},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"axial_pos_embds": False},
    "xmod": {"default_language": "en_XX"},
    "youtu": _MLA,
    "zaya": {"num_experts_per_tok": 1},
}
# They cannot be made tiny by their sizes alone, or are no models of text alone.
SKIPPED = {
    "bailing_hybrid",
    "cohere_compass_text",
    "cpmant",
    "dbrx",
    "dots3_note_text",
    "gemma3n_text",
    "gemma4_assistant",
    "kimi_linear",
    "qwen4_exp_text",
    "roc_bert",
    "whisper",
    "zamba",
    "zamba2",
}
KINDS = [
    kind
    for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if kind not in SKIPPED and (not CONFIG_MAPPING[kind].sub_configs or kind == "mpt")
]


def tiny_config(kind: str, **own: Any) -> PreTrainedConfig:
    """An architecture's configuration with small sizes, and one layer of each of its kinds, but two at least."""
    default = CONFIG_MAPPING[kind]().to_dict()
    sizes: dict[str, Any] = {name: _SIZE[name] for name in default if name in _SIZE and type(default[name]) is int}
    if layers := default.get("layer_types"):
        sizes["layer_types"] = list(dict.fromkeys(layers))
        sizes["layer_types"] += sizes["layer_types"][:1] * (2 - len(sizes["layer_types"]))
        sizes["num_hidden_layers"] = len(sizes["layer_types"])
    tokens = [name for name in default if name.endswith("_token_id")]
    sizes |= {name: 0 if isinstance(default[name], int) else None for name in tokens}
    sizes |= {"is_decoder": True} if "is_decoder" in default else {}
    return CONFIG_MAPPING[kind](**{**sizes, **_OWN.get(kind, {}), **own})


def tiny_network(config: PreTrainedConfig) -> PreTrainedModel:
    """A random model in float32; eager attention where there is no other."""
    network: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    torch.manual_seed(0)
    for weight in network.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.3)
    return network.train(False)
