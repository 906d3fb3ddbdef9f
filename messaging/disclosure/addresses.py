"""Find e-mail addresses and links, written with signs or in words."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from publicsuffixlist import PublicSuffixList

from messaging.reading import list_words

_LOCAL_SIGNS = frozenset("._%+-'")
_LONGEST_LOCAL = 64  # https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1
_LONGEST_DOMAIN = 255

_AT_WORDS = list_words("arroba arobase arobas chiocciola klammeraffe apenstaartje")
_DOT_WORDS = list_words("dot punto point punkt ponto punt")
_SLASH_WORDS = frozenset(("/", "slash", "barra", "schragstrich"))
# Where mail lives that people name without its ending.
_PROVIDERS = list_words("gmail googlemail hotmail yahoo icloud gmx protonmail outlook aol")
_NOT_A_NAME_BEFORE_AT = list_words(
    "i we you he she it they im me us my mine is am are was be at look work works working mail email account "
    "address reach everything always only also it's i'm that this see meet"
)
# Some more, which are ordinary words unless an ending follows.
_HOSTS = _PROVIDERS | list_words(
    "web libero sapo orange free laposte wanadoo sfr live msn mail me mac proton freenet virgilio tiscali terra "
    "uol bol ziggo kpn zoho fastmail hey ymail rocketmail btinternet sky"
)
# Only beside one of these, or a sign, can a text hold an address.
ADDRESS_WORDS = _AT_WORDS | _DOT_WORDS | _PROVIDERS

# Endings that no sentence goes on with when somebody forgets the space after a full stop.
_PLAIN_ENDINGS = list_words(
    "com net org edu gov io co uk eu fr nl pt ch pl cz ru ua cn jp kr br mx ar cl ie ca au nz dk fi gr hu ro bg "
    "hr sk si lv lt ee info biz app dev xyz ly gl gg fm tv cc ee club shop store site online website blog cloud "
    "tech digital agency rentals properties immo taxi email link gle"
)
# After the word "dot" only these are an ending, so that "the red dot me and you know" is none.
_SPOKEN_ENDINGS = list_words(
    "com net org io co uk de fr es it pt nl eu ca au at ch be br mx ar info biz app shop store site online"
)
_NO_NAME_BEFORE_DOT_WORD = list_words(
    "the a an this that el un le la les ce der den dem ein il lo o um no at in on to of and good buen bon guter"
)
_WORDS_BEFORE_LINK = list_words(
    "at see site website web visit go to check link on look find online page book url sur voir auf unter su sul "
    "sito en entra mira sitio no em seite via op"
)
# Names with a dot that are no address.
_NOT_A_LINK = list_words("asp.net vb.net ado.net")

_SCHEME = re.compile(r"(?:https?|hxxps?|ftp)\s?:\s?//\S+")
_CHUNK = re.compile(r"[\w.\-]+")
_WORD = re.compile(r"[^\W_](?:[\w'+\-]*[^\W_])?|[@.()\[\]{}<>]|[^\s\w]|_")
_SLIPPED_ENDING = re.compile(r" ?[,.;] ?(?:com|net|org|de|fr|es|it|pt|uk)(?!\w)")  # jane@gmail,com
_BRACKETS = frozenset("()[]{}<>")
_MOST_LABELS = 6
_TRAILING = ".,;:!?)'\"]}>"


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    start: int
    end: int
    bracketed: bool = False


def find_emails(plain: str) -> list[tuple[int, int]]:
    """Return where the e-mail addresses of a text start and end."""
    return [*_find_written_emails(plain), *_find_spoken_emails(plain, _tokenize(plain))]


def find_links(plain: str) -> list[tuple[int, int]]:
    """Return where the links of a text start and end."""
    return [*_find_schemes(plain), *_find_written_domains(plain), *_find_spoken_domains(plain, _tokenize(plain))]


def _find_written_emails(plain: str) -> Iterator[tuple[int, int]]:
    """jane@example.com"""
    position = plain.find("@")
    while position >= 0:
        start = position
        while start > 0 and position - start < _LONGEST_LOCAL and _is_local(plain[start - 1]):
            start -= 1
        match = _CHUNK.match(plain, position + 1, position + 1 + _LONGEST_DOMAIN)
        domain = match.group().rstrip(".-_") if match else ""
        labels = domain.split(".")
        end = position + 1 + len(domain)
        if start < position and _is_ending(labels):
            yield start, end
        elif start < position and domain in _PROVIDERS:
            ending = _SLIPPED_ENDING.match(plain, end)
            yield start, ending.end() if ending else end
        position = plain.find("@", position + 1)


def _is_local(character: str) -> bool:
    return character.isalnum() or character in _LOCAL_SIGNS


def _find_schemes(plain: str) -> Iterator[tuple[int, int]]:
    for match in _SCHEME.finditer(plain):
        yield match.start(), match.start() + len(match.group().rstrip(_TRAILING))


def _find_written_domains(plain: str) -> Iterator[tuple[int, int]]:
    """example.com, example.com/path"""
    for match in _CHUNK.finditer(plain):
        if "." not in match.group():
            continue
        domain = match.group().strip(".-_")
        start = match.start() + match.group().index(domain)
        end = start + len(domain)
        if plain[max(0, start - 1) : start] == "@":
            continue
        has_path = plain[end : end + 1] == "/" and plain[end + 1 : end + 2].strip() != ""
        if domain.startswith("www.") or _is_domain(domain, plain, start, has_path):
            if has_path:
                end = _end_of_path(plain, end)
            yield start, end


def _end_of_path(plain: str, start: int) -> int:
    end = start
    while end < len(plain) and not plain[end].isspace():
        end += 1
    return start + len(plain[start:end].rstrip(_TRAILING))


def _is_domain(domain: str, plain: str, start: int, has_path: bool) -> bool:
    labels = domain.split(".")
    if not _is_ending(labels) or domain in _NOT_A_LINK:
        return False
    name = labels[-2] if len(labels) == 2 or labels[-2] not in ("co", "com", "org") else labels[-3]
    if not any(character.isalpha() for character in name):
        return False
    if has_path:
        return True
    if len(name) < 2:
        return False
    if labels[-1] in _PLAIN_ENDINGS:
        return True
    # The ending is a word too, in some language: "the place is clean.It has two rooms".
    before = plain[max(0, start - 30) : start].split()
    return (
        "-" in name
        or any(character.isdigit() for character in name)
        or (len(labels) > 2 and len(labels[-1]) == 2)
        or (len(labels) == 2 and len(domain) == len(plain.strip()))
        or (bool(before) and before[-1].strip(":") in _WORDS_BEFORE_LINK)
    )


def _is_ending(labels: Sequence[str]) -> bool:
    """Whether the last of the labels is a top-level domain, and the others can stand before it."""
    if len(labels) < 2 or not all(labels) or len(labels[-1]) < 2 or not labels[-1].isascii():
        return False
    return _is_top_level_domain(labels[-1])


def _is_top_level_domain(label: str) -> bool:
    return _load_suffixes().publicsuffix(label) is not None


@cache
def _load_suffixes() -> PublicSuffixList:
    """Return the list of https://publicsuffix.org as of the installed package; nothing is fetched."""
    return PublicSuffixList(only_icann=True, accept_unknown=False)


def _tokenize(plain: str) -> list[_Token]:
    """Return words and signs without brackets: (at), [at] and {at} are a bracketed at."""
    tokens: list[_Token] = []
    opened = False
    for match in _WORD.finditer(plain):
        text = match.group()
        if text in _BRACKETS:
            opened = text in "([{<"
            continue
        tokens.append(_Token(text, match.start(), match.end(), opened))
        opened = False
    return tokens


def _is_at(token: _Token) -> bool:
    return token.text == "@" or token.text in _AT_WORDS or (token.bracketed and token.text == "at")


def _is_dot(token: _Token) -> bool:
    return token.text == "." or token.text in _DOT_WORDS


def _find_spoken_emails(plain: str, tokens: Sequence[_Token]) -> Iterator[tuple[int, int]]:
    """jane at gmail dot com, jane(at)gmail.com, jane @ gmail . com"""
    for index, token in enumerate(tokens):
        sure = _is_at(token)
        if index == 0 or not (sure or token.text == "at") or not tokens[index - 1].text[0].isalnum():
            continue
        after = index + 1
        if after < len(tokens) and tokens[after].text == "sign":
            after += 1
        last = _find_last_of_mail_domain(tokens, index - 1, after, sure=sure)
        if last is not None:
            yield tokens[_first_of_name(plain, tokens, index - 1)].start, tokens[last].end


def _find_last_of_mail_domain(tokens: Sequence[_Token], name: int, domain: int, *, sure: bool) -> int | None:
    """Return the last token of the domain of an address; of what is only a link, like "look at example.com", None."""
    last, _ = _read_domain(tokens, domain)
    if sure and last is not None:
        return last
    if domain >= len(tokens) or tokens[name].text in _NOT_A_NAME_BEFORE_AT:
        return None
    if last is None:
        return domain if tokens[domain].text in _PROVIDERS else None
    odd = any(character.isdigit() or character in "_+" for character in tokens[name].text)
    dotted = name > 1 and tokens[name - 1].text == "." and tokens[name - 1].end == tokens[name].start
    return last if tokens[domain].text in _HOSTS or odd or dotted else None


def _first_of_name(plain: str, tokens: Sequence[_Token], index: int) -> int:
    """Go back over `bob dot smith`, `bob.smith`, and `j a n e`."""
    first = index
    while index - first < 2 * _LONGEST_LOCAL:
        spelled = first > 0 and len(tokens[first].text) == 1 and len(tokens[first - 1].text) == 1
        if spelled and tokens[first - 1].text.isalnum():
            first -= 1
        elif first > 1 and _joins_name(plain, tokens, first - 1) and tokens[first - 2].text[0].isalnum():
            first -= 2
        else:
            break
    return first


def _joins_name(plain: str, tokens: Sequence[_Token], index: int) -> bool:
    sign = tokens[index]
    tight = sign.start == tokens[index - 1].end and sign.end == tokens[index + 1].start
    return sign.text in _DOT_WORDS or sign.text == "underscore" or (tight and sign.text in "._-+")


def _find_spoken_domains(plain: str, tokens: Sequence[_Token]) -> Iterator[tuple[int, int]]:
    """example dot com, example[.]com"""
    index = 0
    while index < len(tokens):
        last, spoken = _read_domain(tokens, index)
        if last is None or not spoken or (index > 0 and _is_at(tokens[index - 1])):
            index += 1
            continue
        while last + 2 < len(tokens) and tokens[last + 1].text in _SLASH_WORDS and tokens[last + 2].text[0].isalnum():
            last += 2
        yield tokens[index].start, tokens[last].end
        index = last + 1


def _read_domain(tokens: Sequence[_Token], index: int) -> tuple[int | None, bool]:
    """Return the last token of the domain that begins here, if one does, and whether its dot is said or in brackets."""
    last = None
    spoken = False
    spoken_at_last = False
    labels = 0
    if index >= len(tokens) or not _is_label(tokens[index].text):
        return None, False
    while index + 2 < len(tokens) and labels < _MOST_LABELS and _is_dot(tokens[index + 1]):
        dot, label = tokens[index + 1], tokens[index + 2]
        if not label.text[0].isalnum():
            break
        by_word = dot.text != "." or dot.bracketed
        if by_word and tokens[index].text in _NO_NAME_BEFORE_DOT_WORD:
            break
        spoken = spoken or by_word
        if label.text in _SPOKEN_ENDINGS or (not by_word and _is_top_level_domain(label.text)):
            last, spoken_at_last = index + 2, spoken
        index += 2
        labels += 1
    return last, spoken_at_last


def _is_label(text: str) -> bool:
    return len(text) > 1 and any(character.isalpha() for character in text) and text not in _NO_NAME_BEFORE_DOT_WORD
