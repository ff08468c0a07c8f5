"""Settings and sessions of other tools, written as the lines of commands that they stand for."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any, Final

from generator.explaining.facts import facts, pattern

#: stands for the image of a workflow's job that names none
RUNNER: Final = "runner"


def commands_of(value: Any) -> str:
    """Return all texts of a document, a line or more each, without its comments and outputs."""
    if isinstance(value, list):
        # a playbook's or a machine's settings have a command as a list, too
        words = [str(each) for each in value if isinstance(each, str | int | float)]
        line = shlex.join(words)
        is_line = words == value and pattern("commands").match(line)
        return line if is_line else "\n".join(map(commands_of, value))
    if not isinstance(value, dict):
        return pattern("expression").sub(_joined, value) if isinstance(value, str) else ""
    if "cell_type" in value:  # a notebook's (nbformat): its lines, not what they printed
        source = value.get("source", "")
        return "".join(source) if isinstance(source, list) else str(source)
    inputs = value.get("with")
    if "uses" in value and isinstance(inputs, dict):
        text = "\n".join(_of_action(str(value["uses"]), inputs))
    else:
        if "image" in value:  # of all jobs that name none (GitLab docs)
            jobs = {k: v for k, v in value.items() if isinstance(v, dict) and "script" in v}
            value |= {k: {"image": value["image"], **job} for k, job in jobs.items()}
        # the machine of a job comes before what runs on it, wherever it is written
        rows = sorted(value.items(), key=lambda row: row[0] not in facts().yaml_keys["runners"])
        text = "\n".join(_of_key(str(key), each) for key, each in rows if key != "if")
    return f"if {value['if']}; then\n{text}\nfi" if "if" in value else text


def _joined(match: re.Match[str]) -> str:
    """Write an expression as one word, and a variable of the environment as shells do."""
    inner = "".join(match[1].split())
    return f"${{{inner.removeprefix('env.')}}}" if inner.startswith("env.") else f"${{{{{inner}}}}}"


def _of_key(key: str, value: Any) -> str:
    if key in facts().yaml_keys["runners"]:
        value = value.get("vmImage", "") if isinstance(value, dict) else value  # Azure's
        labels = value if isinstance(value, list) else [value]
        rows = facts().runners.items()
        arm = next((to for each in labels for words, to in rows if re.search(words, str(each))), "")
        named = f"--platform={arm} " if arm else ""
        return f"FROM {named}{RUNNER}" if arm or key == "runs-on" else ""
    if key in facts().yaml_keys["variables"] and isinstance(value, dict):
        plain = ((k, v) for k, v in value.items() if isinstance(v, str | int | float))
        return "\n".join(
            f"export {k}={shlex.quote(pattern('expression').sub(_joined, str(v)))}"
            for k, v in plain
        )
    if key.removeprefix("ansible.builtin.") == "pip" and isinstance(value, dict):
        return _of_pip_module(value)
    told = isinstance(value, str) and key in facts().yaml_lines
    if told and (key != "environment" or value.endswith((".yml", ".yaml"))):
        return facts().yaml_lines[key].format(value)
    return commands_of(value)


def _of_pip_module(given: dict[str, Any]) -> str:
    """Write what a playbook gives to pip (Ansible docs, "ansible.builtin.pip")."""
    names = given.get("name") or []
    version = f"=={given['version']}" if "version" in given else ""
    words = [f"{each}{version}" for each in (names if isinstance(names, list) else [names])]
    file = f"-r {given['requirements']}" if "requirements" in given else ""
    return f"pip install {shlex.join(map(str, words))} {file} {given.get('extra_args') or ''}"


def _of_action(uses: str, inputs: dict[str, Any]) -> Iterator[str]:
    """Write what an action that sets conda up is given (the action.yml of setup-miniconda ...)."""
    texts = (
        (k, pattern("expression").sub(_joined, str(v))) for k, v in inputs.items() if v is not None
    )
    said = {key: " ".join(text.split()) for key, text in texts}
    client = "micromamba" if "micromamba" in uses else "conda"
    name = said.get("activate-environment") or said.get("environment-name") or ""
    named = f" -n {name}" if name else ""
    for channel in re.split(r"[,\s]+", said.get("channels", "")):
        if channel:
            yield f"conda config --append channels {channel}"
    if priority := said.get("channel-priority"):
        yield f"conda config --set channel_priority {priority}"
    file, python = said.get("environment-file"), said.get("python-version")
    words = said.get("create-args") or (f"python={python}" if python and name else "")
    if file:
        verb = "create" if said.get("create-args") else "env create"
        yield f"{client} {verb}{named} -f {file} {words}"
    elif words:
        yield f"{client} create{named} {words}"
    if name:
        yield f"conda activate {name}"


def in_all(value: Any, change: Callable[[str], str]) -> Any:
    """Return a document with all its texts changed."""
    if isinstance(value, dict):
        return {key: in_all(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [in_all(each, change) for each in value]
    return change(value) if isinstance(value, str) else value


def written_out(text: str) -> str:
    """Write the commands that Python has as lists as a shell has them."""
    return pattern("lists").sub(_typed, text)


def _typed(match: re.Match[str]) -> str:
    try:
        text = match[0].replace("sys.executable", "'python'")
        command = shlex.join(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return match[0]
    return f"\n$ {command}\n" if pattern("commands").match(command) else match[0]
