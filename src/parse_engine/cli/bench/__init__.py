"""`parse-engine bench`: measure speed and accuracy side by side. Results go to stdout, progress to stderr."""

from __future__ import annotations

import typer

from parse_engine.cli.bench import judge, measure_pass, regrade, replay, report, run, serve

app = typer.Typer(help="Measure speed and accuracy against the target alone.", no_args_is_help=True)
app.command("run")(run.run)
app.command("report")(report.report)
app.command("regrade")(regrade.regrade)
app.command("export")(report.export)
app.command("judge")(judge.judge)
app.command("serve")(serve.serve)
app.command("replay")(replay.replay)
app.command("pass")(measure_pass.measure_pass)
