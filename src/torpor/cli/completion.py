"""`torpor completion`: scripts that teach a shell our verbs and the apps' names."""

from __future__ import annotations

import os
import sys

import click
from click.shell_completion import (
    BashComplete,
    FishComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

SHELLS = ("bash", "zsh", "fish")

HELP = """Print the completion script for a shell.

\b
bash:  torpor completion bash > ~/.local/share/bash-completion/completions/torpor
zsh:   torpor completion zsh > "${fpath[1]}/_torpor"
fish:  torpor completion fish > ~/.config/fish/completions/torpor.fish

\b
Then start a new shell.  Or, for this shell only:
bash:  source <(torpor completion bash)
zsh:   source <(torpor completion zsh)
fish:  torpor completion fish | source

Names of apps come from the running daemon; where it does not answer at once, there are none.
"""

BASH = """\
%(complete_func)s() {
    local type value line=${COMP_LINE:0:COMP_POINT} word before=""
    word=${line##*[[:blank:]]}
    # A colon begins a new word for bash, but not for us: group:web
    [[ $COMP_WORDBREAKS == *:* ]] && before=${word%%"${word##*:}"}
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done < <(COMP_WORDS="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Completion for bash that splits the line as a shell would, and not at colons."""

    source_template = BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one."""
        line = os.environ["COMP_WORDS"]
        _, *words = split_arg_string(line)
        return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])


class Fish(FishComplete):
    """Completion for fish that shows the whole of a sentence, also behind a comma."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')


add_completion_class(Bash)
add_completion_class(Fish)


@click.command(help=HELP)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script for a shell."""
    from torpor.cli.app import COMPLETION_VARIABLE, torpor  # noqa: PLC0415  # the root imports its verbs, not the other way round

    shell_class = get_completion_class(shell)
    assert shell_class is not None
    # The version check of click's bash script starts a bash; the script itself works from 4.4 on.
    comp = shell_class(torpor, {}, "torpor", COMPLETION_VARIABLE)
    sys.stdout.write(comp.source_template % comp.source_vars())
