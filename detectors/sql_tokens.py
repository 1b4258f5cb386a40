"""Whether a parameter's value is SQL that breaks out of the statement it is put into.

The value is read three times, as the database would: as it stands (it lands in a number's place), and after an opening
single or double quote (it lands in a string). Each reading becomes a fingerprint, one letter for each token, and a
short list of shapes says which fingerprints nobody types by accident. Words alone are never enough: `select a band or
union` has the words and none of the shapes.

Source: CWE-89; OWASP WSTG-INPV-05; the public idea of fingerprints of token kinds (Galbreath, Black Hat USA 2012).
"""

import re
from itertools import islice

MOST_TOKENS = 80
"""Tokens read of one value. What breaks out stands at the beginning, and work must stay bounded."""

# Every alternative is possessive or of fixed length: linear on hostile input.
_TOKEN = re.compile(
    r"""(?P<blank>\s++|/\*!\d{0,6}+|\*/|/\*(?:[^*]++|\*(?!/))*+\*/)
    |(?P<comment>--(?=[\s+-]|\Z)|\#(?=\s|\Z)|/\*|;?\x00)
    |(?P<single>'(?:[^'\\]++|\\.|'')*+(?:'|(?P<open1>\\?\Z)))
    |(?P<double>"(?:[^"\\]++|\\.|"")*+(?:"|(?P<open2>\\?\Z)))
    |(?P<number>0x[0-9a-f]++|[0-9]++(?:\.[0-9]*+)?+(?:e[+-]?[0-9]++)?+(?![a-z_@]))
    |(?P<word>[a-z_@$`\[\x80-\U0010ffff0-9][\w@$`.\x80-\U0010ffff]*+\]?+)
    |(?P<logic>&&|\|\||\^)
    |(?P<compare><=>|<>|!=|<=|>=|:=|=|<|>|!<|!>)
    |(?P<cast>::)
    |(?P<other>.)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)

# The letters: v constant, w word, f function of the database, g other word before `(`, L logic, C comparison,
# I comparison that is an English word too, U union, S select, W where, B clause after a condition, D first word of a
# further statement, T what it works on, A `as`, R `from`, E case/when/end, s string, q unclosed string, x cast,
# c comment, o operator, * ( ) , ; as they are.
_WORDS = {
    letter: frozenset(words.split())
    for letter, words in {
        "L": "and or xor",
        "C": "like rlike regexp",
        "I": "in is between glob sounds similar",
        "U": "union intersect except minus",
        "S": "select",
        "W": "where",
        "B": "order group having limit procedure offset",
        "D": "drop insert update delete create alter exec execute declare waitfor begin call if iif shutdown truncate"
        " merge grant",
        "T": "table tables database function view index trigger schema user into from replace",
        "A": "as",
        "E": "case when then else end",
        "": "not binary all distinct by",
        "v": "null true false",
    }.items()
}
_LETTERS = {word: letter for letter, words in _WORDS.items() for word in words}

_SIGN = re.compile(r"(?:^|(?<=[(,CLSBW]))o(?=v)")
_FUNCTIONS = re.compile(
    r"(?:sleep|benchmark|pg_sleep|elt|make_set|extractvalue|updatexml|xmltype|load_file|randomblob|hex|unhex|char|chr|"
    r"ascii|substr(?:ing)?|mid|concat(?:_ws)?|group_concat|row|iif|if|ifnull|convert|cast|exp|floor|rand|md5|sha1|"
    r"version|database|user|current_user|system_user|schema|count|min|max|upper|lower|length|len|ord|like|repeat|"
    r"regexp_substring|crypt_key|generate_series|json_keys|gtid_subset|geometrycollection|polygon|multipoint|"
    r"linestring|multilinestring|multipolygon|nvl|decode|coalesce|string_agg|array_to_string|quote_literal|"
    r"(?:utl|dbms|ctxsys|sys|user_lock|xp|sp|pg|fn|master|information_schema|rdb)[._][\w.$]{2,60})",
    re.IGNORECASE,
)

# Where a value ends: a constant, or the string that the statement had opened, brackets, the end of a full-text or
# aliased clause (`' in boolean mode)`, `') as x`).
_END = r"^[vs][)%]*(?:Iww\)*|Aw)?"
_BROKEN = r"^s[)%]*(?:Iww\)*|Aw)?"
_TRUE = r"[(o]*vC[(o]*[vf]"

_SHAPES = (
    # union select, anywhere: what follows select is an expression.
    r"U\(*S(?:[vsfgq*(]|w,)",
    rf"{_END}U\(*S",
    # A string or number ends, and logic leads to a comparison or a call: `1' or x=2`, `1) and sleep(5)`.
    rf"{_BROKEN}[LC][(o]*[vfws].{{0,6}}?[CI]",
    rf"{_END}[LC][(o]*(?:f\(|v.{{0,6}}?C)",
    rf"{_END}L\(*S[vsfgw*(E]",
    # A condition on constants: `or 1=1`, `where 5=5`, `(3020=3020)*6703`, `case when 1=1`.
    rf"[LWE]{_TRUE}",
    r"[LWE][(o]*v[IC]\(+[vfS]",
    r"[LWE][(o]*f\([^;]{0,40}C",
    r"^\(+vCv[)L]*[o*L(]",
    r"(?:^|[(,;])[(D]*[fD]\((?:vCv|\(*S[vf(*])",
    # A further statement: `1; drop table x`, `1'); select ...`.
    rf"{_END};\(*(?:S[vfg(*EC]|D(?:[fgTL(v]|[Dws]+\()|f\()",
    rf"{_BROKEN};\(*[SD]",
    rf"{_END};Dw.{{0,4}}[CT]",
    # Counting columns: `1' order by 5`, `1) group by 1 having ...`, `1 procedure analyse(...)`.
    rf"{_BROKEN}B[vfgw(]",
    rf"{_END}B(?:v[c,]|v$|[gf]\()",
    # A string ends, and the rest of the statement is cut off by a comment.
    r"^s[)%]*(?:[LC]v)?c",
    # Subselects: `(select count(*) from ...)`, `1'||(select ...`, `1'+(select ...`.
    rf"{_END}[oL,]+\(+[SE]",
    r"\(S(?:[vf(*]|E|C\()",
    r"^S[vf(]",
    # Time delays without a call: `1 waitfor delay '0:0:5'`.
    rf"{_END};?Dw[sq]",
    # A string that opens and closes around a condition: `' or ''='`, `') like ('`.
    r"^s\)*L\(*[sq]C[sq]",
    # A condition after the end of a clause: `1') where 5=5`.
    rf"{_BROKEN}W",
)
_INJECTED = re.compile("|".join(f"(?:{shape})" for shape in _SHAPES))
_HAS_SYNTAX = re.compile(r"['\"()#;=<>]|--|/\*|\s")


def is_sql_injection(value: str) -> bool:
    """Whether a decoded value is an injection. At most three readings of `MOST_TOKENS` tokens each."""
    if not _HAS_SYNTAX.search(value):
        return False
    # A string at the head of the value itself is a phrase in quotes, and breaks out of nothing.
    if _INJECTED.search(re.sub("^s", "w", fingerprint(value))):
        return True
    return any(quote in value and _INJECTED.search(fingerprint(quote + value)) for quote in "'\"")


def fingerprint(text: str) -> str:
    """One letter for each token; see `_WORDS`. Blanks, and words that change no shape (`not`, `all`), are nothing."""
    letters = [_letter(match, text) for match in islice(_TOKEN.finditer(text), MOST_TOKENS)]
    joined = "".join(letters)
    # The sign of a number is part of it, and a comment ends the statement.
    joined = _SIGN.sub("", joined)
    return joined.partition("c")[0] + ("c" if "c" in joined else "")


def _letter(match: re.Match[str], text: str) -> str:
    kind = match.lastgroup
    written = match.group()
    if kind == "blank":
        return ""
    if kind in ("single", "double", "open1", "open2"):
        return "s" if len(written) > 1 and match["open1"] is None and match["open2"] is None else "q"
    if kind == "word":
        return _letter_of_word(written.lower(), text, match.end())
    return {"number": "v", "comment": "c", "logic": "L", "compare": "C", "cast": "x"}.get(kind or "") or (
        written if written in "(),;%*" else "o" if written in "+-*/~|&^!" else "w"
    )


def _letter_of_word(word: str, text: str, end: int) -> str:
    following = text[end : end + 4].lstrip()[:1]
    if (
        word in ("if", "iif", "like", "in", "and", "or", "select", "where", "union", "values")
        or following != "("
    ):
        return _LETTERS.get(word, "v" if word.startswith("@@") else "w")
    if _FUNCTIONS.fullmatch(word):
        return "f"
    return _LETTERS.get(word, "g")
