"""Run one command: its exit code, and its errors as one line."""

from __future__ import annotations

import os
import re
import sys
import traceback
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typer import Typer

from prefect_collect.cli._exits import CANCELED, FAILED, OK, PROGRAM, WRONG_USE, error_exit_code
from prefect_collect.cli._words import tidy
from prefect_collect.errors import CollectError
from prefect_collect.escaping import one_line
from prefect_collect.stores.os_errors import store_error

ENCRYPTING: Final = frozenset({"--encrypt", "--encrypt-for", "--passphrase", "--passphrase-from", "--password"})
"""What users may call the options by which a package is encrypted."""

DELIVERING: Final = frozenset({"export", "collect", "draft", "edit"})
"""The commands that have an export made, which delivers no encrypted package."""


def run_command(app: Typer, arguments: list[str]) -> int:
    """Run the command and return its exit code. Only a SystemExit of a signal handler is raised."""
    command = _command_of(app)
    debug = False
    try:
        with command.make_context(PROGRAM, arguments) as context:
            debug = bool(context.params.get("debug"))
            code = command.invoke(context)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output closed it. Without this, Python would report an error at exit, when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (Exception, KeyboardInterrupt) as error:
        if getattr(error, "exit_code", None) == OK:  # click's Exit, after --help or --version
            return OK
        message, code = explain(error, _named(command, arguments))
        if debug:
            for line in "".join(traceback.format_exception(error)).splitlines():
                print(one_line(line), file=sys.stderr)
        print_error(message)
        return code
    return code if isinstance(code, int) else OK


@cache
def _command_of(app: Typer) -> Any:
    """Return the command with all its options, which takes typer 20 ms to make."""
    from typer.main import get_command

    return get_command(app)


def print_error(message: str) -> None:
    """Print an error as one line on standard error."""
    print(one_line(f"{PROGRAM}: {tidy(message)}"), file=sys.stderr)


def _named(command: Any, arguments: list[str]) -> str:
    """Return the command that the arguments name, as a user types it: ``prefect-collect sources test``."""
    words = [PROGRAM]
    for argument in arguments:
        within = getattr(command, "commands", {})
        if argument in within:
            command = within[argument]
            words.append(argument)
        elif not argument.startswith("-"):
            break
    return " ".join(words)


def explain(error: BaseException, command: str = PROGRAM) -> tuple[str, int]:
    """Return the message and the exit code for an error; `command` is what was run, whose help wrong use points to."""
    if isinstance(error, CollectError):
        return str(error), error_exit_code(error)
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "Canceled.", CANCELED
    if hasattr(error, "format_message"):  # every error of click, which typer may carry within itself
        # typer repeats the messages of pydantic, by which it checks choices.
        message = error.format_message().replace("Value error, ", "")
        if elsewhere := _of_another_command(error):
            return elsewhere, WRONG_USE
        message += _choice_meant(message)
        stop = "" if message.endswith((".", "?", "!")) else "."
        return f"{message}{stop} See `{_help_of(error, command)}`.", WRONG_USE
    if type(error).__name__ == "Abort":
        return "Canceled.", CANCELED
    if (refused := _refused(error)) is not None:
        return str(refused), FAILED
    if isinstance(error, OSError) and error.filename is not None:
        return str(store_error(error, os.fspath(error.filename))), FAILED
    message = str(error) or "no message"
    return f"Unexpected {type(error).__name__}: {message} (`{PROGRAM} --debug …` shows where)", FAILED


def _of_another_command(error: Any) -> str:
    """Return what to do where an option is given that another command has; "" if it is not such a one."""
    name, context = getattr(error, "option_name", ""), getattr(error, "ctx", None)
    if name not in ENCRYPTING or context is None or context.info_name not in DELIVERING:
        return ""
    return (
        f"{name} is no option of {context.info_name}: an export delivers its package as it is, which can be verified, "
        f"retried and continued without a secret. Make an encrypted copy of the package, to hand over, with "
        f"`{PROGRAM} download JOB --to DIR --encrypt`."
    )


def _choice_meant(message: str) -> str:
    """Return the question whether the choice that is most like the one given was meant; "" if none is much like it."""
    found = re.search(r"'([^']*)' is not one of (.+)", message, re.DOTALL)
    if found is None:
        return ""
    alike = get_close_matches(found[1].lower(), re.findall(r"'([^']+)'", found[2]), n=1, cutoff=0.7)
    return f". Did you mean {alike[0]}?" if alike else ""


def _help_of(error: Any, command: str) -> str:
    context = getattr(error, "ctx", None)  # an option without its value has none
    return f"{context.command_path if context is not None else command} --help"


def _refused(error: BaseException) -> CollectError | None:
    """Return the error of ours for an error of Prefect's client among the causes of `error`; None if there is none."""
    found: BaseException | None = error
    while found is not None:
        # The import takes seconds; if Prefect was not imported before, this is no error of it.
        if type(found).__module__.split(".")[0] in ("httpx", "httpcore", "prefect", "json", "pydantic_core"):
            from prefect_collect.runs.refusals import prefect_error

            if (meant := prefect_error(found)) is not None:
                return meant
        found = found.__cause__ or found.__context__
    return None
