"""Put the output of the demo into docs/tutorial.md, and a picture of its report into docs/assets/report.png.

python docs/tutorial.py demo

The transcript of a run, demo/transcript.txt, is what `make tutorial` writes: make prints each command, and the command
its output. In the page, a block of output stands between `<!-- demo: WORDS -->` and `<!-- end -->`; WORDS are the first
words of the command (after `lensctl`), or `summary` for the results at the end. `rows=6` shows six rows of each
table, `lines=8+2` the first eight lines and the last two.
"""

import re
import shutil
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("tutorial.md")
PICTURE = Path(__file__).with_name("assets") / "report.png"
WIDE, HIGH = 1000, 1140
"""Pixels of the picture: the head of the report."""
BLOCK = re.compile(
    r"<!-- demo: (.*?)(?: rows=(\d+))?(?: lines=(\d+)\+(\d+))? -->\n```\n(.*?)```\n<!-- end -->", re.DOTALL
)
SUMMARY = "summary"
ENDS, RESULTS = "Outputs in ", "Result on "
"""What follows the last command: a table of the receipts, which are on the page already, and the results."""
PROGRESS = re.compile(r"^[\w ]+: (?:[\d,]+(?: of [\d,]+)?, [\d,]+/s|epoch \d+ of \d+, batch)|^[\d,.]+ cutouts/s over ")
"""A line now and then, of how far a command has come, and how fast."""
RULE = re.compile(r"^─+\s*$")
"""The line below the head of a table."""
TOLD_BY_MAKE = re.compile(r"^make(\[\d+\])?: ")
LONGEST = 100


def transcript(text: str) -> dict[str, str]:
    """What each command printed in a run, by the command as it stands in the page; of one run twice, the last."""
    found: dict[str, str] = {}
    command, lines, unfinished = "", [], False
    for line in [*text.splitlines(), "lensctl"]:
        if unfinished or re.match(r"lensctl( |$)", line):
            if not unfinished:
                found |= {command: "\n".join(lines)} if command else {}
                command, lines = "", []
            command += f"{line}\n"
            unfinished = line.endswith("\\")
            if not unfinished:
                command = shown(command)
        elif line.startswith((ENDS, RESULTS)):
            found |= {command: "\n".join(lines)} if command else {}
            command, lines = (SUMMARY, [line]) if line.startswith(RESULTS) else ("", [])
        elif command and not PROGRESS.match(line) and not TOLD_BY_MAKE.match(line):
            lines.append(line)
    return found


def shown(command: str) -> str:
    """A command as one would type it: without what only the Makefile needs, and folded."""
    one = re.sub(r"\s*\\\n\s*", " ", command).strip()
    one = re.sub(r" \| tee \S+$", "", one).replace(" --overwrite", "").replace(" --resume", "")
    lines = [""]
    for part in re.split(r" (?=--|> )", one):
        if lines[-1] and len(lines[-1]) + len(part) > LONGEST:
            lines.append(f"    {part}")
        else:
            lines[-1] += f" {part}" if lines[-1] else part
    return " \\\n".join(lines)


def block(of: dict[str, str], words: str, rows: int = 1000, lines: tuple[int, int] | None = None) -> str:
    """The lines of one block of the page: a command and what it printed."""
    names = [name for name in of if words == name or (name.startswith(f"lensctl {words}") and words != SUMMARY)]
    if len(names) != 1:
        raise SystemExit(f"error: the demo has {len(names)} commands that begin with '{words}'")
    name = names[0]
    output = [plain(line) for line in rows_cut(of[name].rstrip().splitlines(), rows)]
    if lines and len(output) > sum(lines):
        output = [*output[: lines[0]], "…", *output[len(output) - lines[1] :]]
    return "\n".join([*([] if name == SUMMARY else [f"$ {name}"]), *output])


def rows_cut(lines: list[str], rows: int) -> list[str]:
    """The same lines with at most so many rows of each table, and … in place of the others.

    The rows of a table stand between a rule and an empty line.
    """
    kept: list[str] = []
    count = -1
    for line in lines:
        if RULE.match(line):
            count = 0
        elif not line.strip():
            count = -1
        elif count >= 0:
            count += 1
        if count <= rows:
            kept.append(line)
        elif count == rows + 1:
            kept.append("…")
    return kept


def plain(line: str) -> str:
    """A line with the beginnings of digests and the ends of paths alone."""
    line = re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1…", line)
    line = re.sub(r"(/\S*)(/\w+/\w+/report\.html)", lambda at: f"…{at[2]}{' ' * (len(at[1]) - 1)}", line)
    return line.rstrip()


def filled(page: str, of: dict[str, str]) -> str:
    """The page with its blocks made anew."""

    def again(found: re.Match[str]) -> str:
        words, rows, first, last = found[1], found[2], found[3], found[4]
        made = block(of, words, int(rows or 1000), (int(first), int(last)) if first else None)
        return f"{found[0].partition(chr(10))[0]}\n```\n{made}\n```\n<!-- end -->"

    return BLOCK.sub(again, page)


def picture(report: Path) -> None:
    """Take a picture of the head of a report; without a browser the one that is there stays."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write(f"no chromium here: {PICTURE.name} is left as it is\n")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = started.new_page(viewport={"width": WIDE, "height": HIGH})
        page.goto(report.resolve().as_uri())
        page.screenshot(path=PICTURE)
        started.close()


if __name__ == "__main__":
    work = Path(sys.argv[1])
    log = work / "transcript.txt"
    if not log.is_file():
        raise SystemExit(f"error: {log} does not exist\n  fix: run `make tutorial`")
    PAGE.write_text(
        filled(PAGE.read_text(encoding="utf-8"), transcript(log.read_text(encoding="utf-8"))), encoding="utf-8"
    )
    picture(work / "evaluation" / "report.html")
