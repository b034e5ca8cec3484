"""Small wrong changes to C text: where one could be made, and what it would be.

No parser: tokens, brackets and the tree's own formatting (a binary operator has a space on each side) say enough.
What is left alone: assertions, log lines and other texts, declarations, conditions of the preprocessor.
"""

import collections
import re

# kind; bytes `begin` to `end` become `text`; `function` is where that is, "" outside of one.
Change = collections.namedtuple("Change", "file function kind begin end text")

KINDS = ("boundary", "condition", "logic", "constant", "arithmetic", "left out", "order")

TOKEN = re.compile(r"""
    (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<directive>^[ \t]*\#(?:[^\n\\]|\\.)*)
  | (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<char>'(?:[^'\\]|\\.)+')
  | (?P<number>\b(?:0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*\b)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[^\s\w])
""", re.VERBOSE | re.DOTALL | re.MULTILINE)

DEFINED_NUMBER = re.compile(r"\s*#\s*define\s+\w+\s+\(?\s*(?P<number>[0-9]+)[uUlL]*\b(?!\s*<<)")

MARKS = {
    "<": [("boundary", "<="), ("condition", ">")], "<=": [("boundary", "<"), ("condition", ">=")],
    ">": [("boundary", ">="), ("condition", "<")], ">=": [("boundary", ">"), ("condition", "<=")],
    "==": [("condition", "!=")], "!=": [("condition", "==")],
    "&&": [("logic", "||")], "||": [("logic", "&&")],
    "+=": [("arithmetic", "-=")], "-=": [("arithmetic", "+=")], "|=": [("arithmetic", "&=")],
    "&=": [("arithmetic", "|=")], "++": [("arithmetic", "--")], "--": [("arithmetic", "++")],
}
SPACED = {  # with a space on each side; elsewhere these are pointers, addresses and signs
    "+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "&",
}
WORDS = {"true": "false", "false": "true"}
ORDERS = {
    "memory_order_acquire": "memory_order_relaxed", "memory_order_release": "memory_order_relaxed",
    "memory_order_acq_rel": "memory_order_relaxed", "memory_order_seq_cst": "memory_order_relaxed",
}
IMPLICIT_ORDERS = {f"atomic_{name}" for name in (
    "load", "store", "exchange", "fetch_add", "fetch_sub", "fetch_or", "fetch_and")}

# Whoever changes what these say or hold changes no behaviour.
QUIET = re.compile(r"(gb__assert|static_assert|_Static_assert|gb__log|gb__log_allowed|__attribute__|sizeof|_Alignas)$")
DECLARES = {
    "const", "static", "struct", "union", "enum", "unsigned", "signed", "int", "long", "short", "char", "bool", "void",
    "float", "double", "FILE", "extern", "_Atomic", "inline", "typedef", "volatile", "register", "auto",
}
STARTS_NO_EXPRESSION = DECLARES | {
    "return", "if", "else", "for", "while", "do", "switch", "case", "default", "goto"}


class Token:
    __slots__ = ("kind", "text", "begin", "end", "pair", "function", "quiet")

    def __init__(self, kind, text, begin):
        self.kind, self.text, self.begin, self.end = kind, text, begin, begin + len(text)
        self.pair = None  # of a bracket: the index of the other
        self.function = ""
        self.quiet = False


def tokens_of(text):
    """Tokens without comments, with brackets joined."""
    tokens, opened = [], []
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "comment":
            continue
        token = Token(kind, match.group(), match.start())
        tokens.append(token)
        if kind != "mark":
            continue
        if token.text in "([{":
            opened.append(len(tokens) - 1)
        elif token.text in ")]}" and opened:
            token.pair = opened.pop()
            tokens[token.pair].pair = len(tokens) - 1
    return tokens


def name_functions(tokens):
    """Tell each token of a function's body whose it is."""
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.text == "(" and token.pair and at and tokens[at - 1].kind == "word":
            close = token.pair
            if close + 1 < len(tokens) and tokens[close + 1].text == "{" and tokens[close + 1].pair:
                end = tokens[close + 1].pair
                for inside in range(close + 1, end + 1):
                    tokens[inside].function = tokens[at - 1].text
                at = end
        elif token.text == "{" and token.pair:
            at = token.pair
        at += 1


def hush(tokens):
    for at, token in enumerate(tokens[:-1]):
        following = tokens[at + 1]
        if token.kind == "word" and QUIET.match(token.text) and following.text == "(" and following.pair:
            for inside in range(at, following.pair + 1):
                tokens[inside].quiet = True


def spaced(text, token):
    return text[token.begin - 1:token.begin] in " \t" and text[token.end:token.end + 1] in (" ", "\n")


def declares_array(tokens, at):
    """Whether the number at `at` is a size in a declaration, as in `char text[128]`."""
    if at < 3 or tokens[at - 1].text != "[" or tokens[at - 2].kind != "word":
        return False
    before = tokens[at - 3]
    return before.text in ("*", ",") or (before.kind == "word" and before.text not in STARTS_NO_EXPRESSION - DECLARES)


def other_numbers(number):
    digits = number.rstrip("uUlL")
    octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    value, suffix = int(digits, 8 if octal else 0), number[len(digits):]
    others = [value + 1] if value == 0 else [value - 1, value + 1]
    return [f"{other}{suffix}" for other in others]


def statement_end(tokens, at):
    """The index of the semicolon of the expression statement at `at`, or None when it is something else."""
    first = tokens[at]
    if first.kind != "word" and first.text not in ("*", "++", "--", "("):
        return None
    if first.text in STARTS_NO_EXPRESSION or first.quiet:
        return None
    if first.text in ("break", "continue"):
        return at + 1 if tokens[at + 1].text == ";" else None
    following = tokens[at + 1]
    if first.kind == "word" and (following.kind == "word" or following.text == ":"):
        return None  # `uint64_t now`, a label
    if first.kind == "word" and following.text == "*" and tokens[at + 2].kind == "word" and tokens[at + 2].begin == following.end:
        return None  # `FILE *file`
    while at < len(tokens) and tokens[at].text not in ";{}":
        at = tokens[at].pair + 1 if tokens[at].text in ("(", "[") and tokens[at].pair else at + 1
    return at if at < len(tokens) and tokens[at].text == ";" else None


def begins_statement(tokens, at):
    before = tokens[at - 1]
    if before.text in (";", "{", "}", ":"):
        if before.text == ":":
            return any(token.text in ("case", "default") for token in tokens[max(at - 4, 0):at])
        return not inside_for(tokens, at)
    if before.text == "else" or before.text == "do":
        return True
    if before.text == ")" and before.pair:
        return tokens[before.pair - 1].text in ("if", "for", "while", "switch")
    return False


def inside_for(tokens, at):
    depth = 0
    for back in range(at - 1, max(at - 60, -1), -1):
        if tokens[back].text == ")":
            depth += 1
        elif tokens[back].text == "(":
            if depth == 0:
                return tokens[back - 1].text == "for"
            depth -= 1
        elif tokens[back].text in "{}" and depth == 0:
            return False
    return False


def changes_of_token(text, tokens, at):
    """(kind, begin, end, text) of what could be changed at this token."""
    token = tokens[at]
    if token.kind == "mark":
        for kind, other in MARKS.get(token.text, ()):
            yield kind, token.begin, token.end, other
        if token.text in SPACED and spaced(text, token):
            yield "arithmetic", token.begin, token.end, SPACED[token.text]
        if token.text == "!" and not text[token.end].isspace():
            yield "condition", token.begin, token.end, ""
    elif token.kind == "number" and not declares_array(tokens, at):
        for other in other_numbers(token.text):
            yield "constant", token.begin, token.end, other
    elif token.text in WORDS:
        yield "constant", token.begin, token.end, WORDS[token.text]
    elif token.text in ORDERS:
        yield "order", token.begin, token.end, ORDERS[token.text]
    elif token.text in IMPLICIT_ORDERS and tokens[at + 1].text == "(" and tokens[at + 1].pair:
        close = tokens[tokens[at + 1].pair]
        inside = text[token.end:close.begin]
        yield "order", token.begin, close.end, f"{token.text}_explicit{inside}, memory_order_relaxed)"
    elif token.text in ("if", "while") and tokens[at + 1].text == "(" and tokens[at + 1].pair:
        first, close = tokens[at + 1], tokens[tokens[at + 1].pair]
        yield "condition", first.end, close.begin, f"!({text[first.end:close.begin]})"
    if begins_statement(tokens, at):
        end = statement_end(tokens, at)
        if end is not None:
            yield "left out", token.begin, tokens[end].end, ";"
        elif token.text == "return" and tokens[at + 1].text == ";":
            yield "left out", token.begin, tokens[at + 1].end, ";"


def changes_of(file, text):
    """Every change that could be made to this text."""
    tokens = tokens_of(text)
    name_functions(tokens)
    hush(tokens)
    found = []
    for at, token in enumerate(tokens):
        if token.kind == "directive":
            match = DEFINED_NUMBER.match(token.text)
            if match:
                begin, end = token.begin + match.start("number"), token.begin + match.end("number")
                for other in other_numbers(match.group("number")):
                    found.append(Change(file, "", "constant", begin, end, other))
        elif token.function and not token.quiet:
            for kind, begin, end, other in changes_of_token(text, tokens, at):
                found.append(Change(file, token.function, kind, begin, end, other))
    return found


def changed(text, change):
    return text[:change.begin] + change.text + text[change.end:]


def lines_around(text, begin, end):
    """The whole lines that hold these bytes, each without its ends, joined by one space."""
    first, last = text.rfind("\n", 0, begin) + 1, text.find("\n", end)
    return " ".join(text[first:last if last >= 0 else None].split())


def identity(text, change):
    """What names a change whatever stands above it: file, function, the lines before and after it."""
    return {"file": change.file, "function": change.function,
            "was": lines_around(text, change.begin, change.end),
            "becomes": lines_around(changed(text, change), change.begin, change.begin + len(change.text))}
