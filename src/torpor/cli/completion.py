"""`torpor completion`: scripts that teach a shell our verbs and the apps' names."""

from __future__ import annotations

import sys

import click

SHELLS = ("bash", "zsh", "fish")

HELP = """Print the completion script for a shell.

\b
bash:  torpor completion bash > ~/.local/share/bash-completion/completions/torpor
zsh:   torpor completion zsh > "${fpath[1]}/_torpor"
fish:  torpor completion fish > ~/.config/fish/completions/torpor.fish

\b
Then start a new shell.  Or, for this bash only:
       source <(torpor completion bash)

Names of apps come from the running daemon.
"""


@click.command(help=HELP)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415  # nobody else needs it

    from torpor.cli.app import COMPLETION_VARIABLE, torpor  # noqa: PLC0415  # the root imports its verbs, not the other way round

    shell_class = get_completion_class(shell)
    assert shell_class is not None
    # The version check of click's bash script starts a bash; the script itself works from 4.4 on.
    comp = shell_class(torpor, {}, "torpor", COMPLETION_VARIABLE)
    sys.stdout.write(comp.source_template % comp.source_vars() + "\n")
