"""Print the built-in gates with their settings, as `lensctl gate NAME --help` has them.

python docs/reference/gates.py > docs/reference/gates.md
"""

import sys

from lensctl.gates import registry

HEAD = """# Gates and their settings

Made from the gates by `python docs/reference/gates.py > docs/reference/gates.md`; a test compares it. `lensctl gate
NAME --help` says the same of one gate, `lensctl gate list` of all, those of installed packages included. Any setting
can be changed with `--set GATE.KEY=VALUE` or under `set:` in a `--config` file. Defaults are those of ls-dr10; what
follows from the survey, such as the shares of the splits, follows the survey of the input. Why the limits are what they
are: [gates](../science/gates.md), [evaluation](../science/evaluation.md), [injection](../science/injection.md),
[selection](../science/selection.md). What a line of a gate holds: [files](files.md#lines-of-a-gate)."""


def page() -> list[str]:
    """All lines of the page."""
    lines = [HEAD]
    for name in registry.BUILT_IN:
        gate = registry.find(name)
        lines += [
            "",
            f"## {name}",
            "",
            f"`lensctl gate {name} {gate.inputs}`",
            "",
            *(" ".join(part.split()) + "\n" for part in gate.text.split("\n\n")),
        ]
        fields = gate.fields()
        settings = registry.settings_for([gate], [])[name]
        if fields:
            lines += ["| setting | default | meaning |", "|---|---|---|"]
        for key, field in fields.items():
            default = registry.show(getattr(settings, key))
            lines.append(f"| `{name}.{key}` | {default} | {registry.meaning_of(field)} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join((*page(), "")))
