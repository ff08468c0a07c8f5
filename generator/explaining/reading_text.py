"""Bytes and pastes as plain text: encodings, quoting, builders' prefixes, and lines that go on."""

from __future__ import annotations

import ast
import codecs
import re
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from generator.documents import load_json
from generator.errors import MalformedError, SelectionError
from generator.explaining.facts import facts, pattern

EXAMPLE = 'for example: armtorch explain "conda install pytorch torchvision -c pytorch"'
#: byte order marks (Unicode 15, section 23.8); UTF-16's is a part of UTF-32's
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: a byte order mark and zero bytes, and the space of web pages
#: and the quotes that text processors make of plain ones; where a sentence of Chinese or Japanese
#: ends, which has no space around a command
_UNSEEN = {0xFEFF: None, 0: None, 0xA0: " ", 0x201C: '"', 0x201D: '"', 0x201E: '"'} | dict.fromkeys(
    (0x3002, 0xFF01, 0xFF0C, 0xFF1A, 0xFF1B, 0xFF1F), "\n"
)


def refusal(what: str, where: str) -> SelectionError:
    """Return the error for a text that cannot be read, with an example of one that can."""
    return SelectionError(what, where=where, next_step=EXAMPLE)


def no_conda(text: str, *hints: str) -> SelectionError:
    """Return the error for a text in which nothing asks a client for a package."""
    what = (
        "neither a command of conda, mamba, micromamba or pixi nor a package that one of them did "
        "not find"
    )
    return SelectionError(what, where=text[:80], next_step="; ".join([*hints, EXAMPLE]))


def decoded(content: bytes) -> str:
    """Return a file's text: by its byte order mark, as UTF-8, or else as Latin-1 (never fails)."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    half = content[:400]
    if half[1::2].count(0) > len(half) // 4:
        return content.decode("utf-16-le", errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def channel_name(url: str) -> str:
    """Return the name of a channel on conda's own hosts, which people know it by."""
    if re.match(r"https://repo\.anaconda\.com/pkgs/\w+", url):
        return "defaults"
    return url.removeprefix("https://conda.anaconda.org/").rstrip("/")


def plain(text: str) -> str:
    r"""Return a paste without colours, quoting, other systems' line ends, and builders' prefixes.

    A line that goes on (``\`` of shells, ``^`` of cmd, a backquote of PowerShell) becomes one.
    """
    text = pattern("escapes").sub("", text).replace("\r\n", "\n").translate(_UNSEEN)
    text = re.sub(
        r"(?<=\s)[\u2013\u2014](?=\w\b)", "-", re.sub(r"(?<=\s)[\u2013\u2014](?=\w\w)", "--", text)
    )
    # a progress bar writes over its own line
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    text = pattern("expression").sub(lambda m: f"${{{{{''.join(m[1].split())}}}}}", text)
    text = pattern("in_front").sub("", text)
    text = pattern("steps").sub(_step, text)
    # with the sign that shells show on such lines
    text = pattern("continued").sub(" ", pattern("comments").sub(r"\1", text))
    text = pattern("locking").sub(
        lambda match: (
            "conda env create --locks" + re.sub(r" -p(?=[ =])", " --platform", match["rest"])
        ),
        text,
    )
    text = pattern("locked").sub(
        lambda m: f"conda create{m['rest']} --file {m['file'] or 'conda-lock.yml'}", text
    )
    text = pattern("wrapped").sub(lambda match: re.sub(r"\n[ \t│]+", " ", match[0]), text)
    text = pattern("blocks").sub(r"```\n\g<lines>```\n", text)
    return pattern("bold").sub(r"\1", pattern("quoted").sub("", text))


def unfolded(text: str) -> str:
    """Write what clients print as JSON, or as lists of Python, in the lines of their messages."""
    documents = _documents(text)
    if cells := [each["cells"] for each in documents if isinstance(each.get("cells"), list)]:
        return commands_of(cells[0])
    return "\n".join([*map(_lines_of, documents), written_out(text)])


def _step(match: re.Match[str]) -> str:
    """Leave a builder's step as the instruction that it runs."""
    return match["line"].removesuffix(":")


def _documents(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects, or Python's dictionaries, that stand in a text by themselves."""
    found: list[dict[str, Any]] = []
    candidates = [text, *re.findall(r"(?m)^[ \t]*(\{.*\})[ \t]*$", text)]
    begin, end = text.find("{"), text.rfind("}")
    if 0 <= begin < end:
        candidates.append(text[begin : end + 1])
    for candidate in candidates[:20]:
        for read in (partial(load_json, where="the text"), ast.literal_eval):
            try:
                value = read(candidate)
            except (MalformedError, ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(value, dict) and value not in found:
                found.append(value)
            break
    return found


def _lines_of(document: dict[str, Any]) -> str:
    parts = [str(document[key]) for key in ("error", "message") if document.get(key)]
    problems = document.get("solver_problems")
    parts += [f"  - {each}" for each in problems] if isinstance(problems, list) else []
    urls = document.get("channel_urls")
    parts += (
        ["Current channels:", *(f"  - {url}" for url in urls)] if isinstance(urls, list) else []
    )
    return "\n".join(parts)


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
