"""A made-up credential of each kind, from the recipes of key_samples.txt."""

import random
import re
import string
from pathlib import Path
from typing import NamedTuple

_ALNUM = string.ascii_letters + string.digits
_BECH32 = "023456789acdefghjklmnpqrstuvwxyz"
ALPHABETS = {
    "A": _ALNUM,
    "B": _ALNUM + "+/",
    "W": _ALNUM + "_-",
    "L": string.ascii_lowercase + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "l": string.ascii_lowercase,
    "T": string.ascii_uppercase + "234567",
    "b": string.ascii_lowercase + "234567",
    "d": string.digits,
    "h": "0123456789abcdef",
    "H": "0123456789ABCDEF",
    "e": _BECH32,
    "E": _BECH32.upper(),
    "s": "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
}
_HOLE = re.compile(r"\{([A-Za-z])([0-9]+)(\+?)\}")


class Sample(NamedTuple):
    """One recipe, cooked: the text is `before`, the secret, `after`."""

    kind: str
    secret: str
    before: str
    after: str
    fixed: bool
    """The format has one length: a character less is something else."""

    @property
    def text(self) -> str:
        return self.before + self.secret + self.after

    @property
    def bare(self) -> bool:
        """Found by its shape alone, wherever it stands."""
        return not self.before and not self.after

    @property
    def name(self) -> str:
        """`datadog_api_key`, where the credential is found behind its name; else empty."""
        return self.before[:-1] if re.fullmatch(r"[A-Za-z0-9_.-]+=", self.before) and not self.after else ""


def cook(kind: str, recipe: str, seed: int = 20261123) -> Sample:
    """The same made-up credential for the same recipe and seed."""
    chance = random.Random(f"{kind} {seed}")

    def fill(text: str) -> str:
        filled = _HOLE.sub(lambda m: "".join(chance.choices(ALPHABETS[m[1]], k=int(m[2]))), text)
        return filled.replace("{{", "{").replace("}}", "}")

    before, inside, after = re.split("[«»]", recipe)
    holes = _HOLE.findall(inside)
    fixed = bool(holes) and not any(open_end for _, _, open_end in holes)
    return Sample(kind, fill(inside), fill(before), fill(after), fixed)


def hollow(recipe: str, filling: str) -> str:
    """The text of a recipe with one character in place of all that is made up: a placeholder."""
    text = _HOLE.sub(lambda m: filling * int(m[2]), recipe)
    return text.translate({ord("«"): None, ord("»"): None}).replace("{{", "{").replace("}}", "}")


def _recipes() -> dict[str, str]:
    lines = (Path(__file__).parent / "key_samples.txt").read_text("utf-8").splitlines()
    entries = (line.partition("  ") for line in lines if line and not line.startswith("#"))
    return {kind: recipe for kind, _, recipe in entries}


RECIPES = _recipes()

SAMPLES = {kind: cook(kind, recipe) for kind, recipe in RECIPES.items()}
SECRETS: dict[str, tuple[str, str]] = {
    # kind: (the secret, the text it stands in, `{}` being the secret)
    kind: (sample.secret, sample.before + "{}" + sample.after)
    for kind, sample in SAMPLES.items()
}
