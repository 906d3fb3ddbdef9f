"""Numbers in words: English, Spanish, French, German, Portuguese, Italian, Dutch; accents are folded already."""

from messaging.reading import list_words

_UNITS = (
    "zero nil nought null nul cero",
    "one uno una un une um uma eins een",
    "two dos deux zwei zwo dois duas due twee",
    "three tres trois drei tre drie",
    "four cuatro quatre vier quatro quattro",
    "five cinco cinq funf fuenf cinque vijf",
    "six seis sechs sei zes",
    "seven siete sept sieben sete sette zeven",
    "eight ocho huit acht oito otto",
    "nine nueve neuf neun nove negen",
)
_TEENS = (
    "ten diez dix zehn dez dieci tien",
    "eleven once onze elf undici",
    "twelve doce douze zwolf zwoelf doze dodici twaalf",
    "thirteen trece treize dreizehn treze tredici dertien",
    "fourteen catorce quatorze vierzehn catorze quattordici veertien",
    "fifteen quince quinze funfzehn fuenfzehn quindici vijftien",
    "sixteen dieciseis seize sechzehn dezesseis dezasseis sedici zestien",
    "seventeen diecisiete siebzehn dezessete dezassete diciassette zeventien",
    "eighteen dieciocho achtzehn dezoito diciotto achttien",
    "nineteen diecinueve neunzehn dezenove dezanove diciannove negentien",
)
_TENS = (
    "twenty veinte vingt vingts zwanzig vinte venti twintig",
    "thirty treinta trente dreissig dreizig trinta trenta dertig",
    "forty fourty cuarenta quarante vierzig quarenta quaranta veertig",
    "fifty cincuenta cinquante funfzig fuenfzig cinquenta cinquanta vijftig",
    "sixty sesenta soixante sechzig sessenta sessanta zestig",
    "seventy setenta septante siebzig settanta zeventig",
    "eighty ochenta huitante octante achtzig oitenta ottanta tachtig",
    "ninety noventa nonante neunzig novanta negentig",
)
_HUNDREDS = {
    200: "doscientos duzentos duecento",
    300: "trescientos trezentos trecento",
    400: "cuatrocientos quatrocentos quattrocento",
    500: "quinientos quinhentos cinquecento",
    600: "seiscientos seiscentos seicento",
    700: "setecientos setecentos settecento",
    800: "ochocientos oitocentos ottocento",
    900: "novecientos novecentos novecento",
}
HUNDRED = list_words("hundred hundreds cent cents cien ciento cientos cento centos hundert honderd")
TIMES = {"double": 2, "doble": 2, "doppel": 2, "doppelt": 2, "doppio": 2, "duplo": 2, "dubbel": 2, "dobro": 2} | {
    "triple": 3,
    "triplo": 3,
    "tripla": 3,
    "treble": 3,
    "dreifach": 3,
}
# Digits only beside other digits, for elsewhere they are ordinary words.
DIGITS_BESIDE_DIGITS = {"o": 0, "oh": 0, "meia": 6}


def _name_compounds() -> dict[str, int]:
    """Those written as one word: einundzwanzig, eenentwintig, ventuno, veintiuno."""
    names: dict[str, int] = {}
    units = (None, "ein", "zwei", "drei", "vier", "funf", "sechs", "sieben", "acht", "neun")
    german_tens = ("zwanzig", "dreissig", "vierzig", "funfzig", "sechzig", "siebzig", "achtzig", "neunzig")
    dutch = (None, "een", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen")
    dutch_tens = ("twintig", "dertig", "veertig", "vijftig", "zestig", "zeventig", "tachtig", "negentig")
    italian = (None, "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove")
    italian_tens = ("venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta")
    spanish = (None, "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve")
    for unit in range(1, 10):
        names[f"veinti{spanish[unit]}"] = 20 + unit
        for index in range(8):
            value = 10 * (index + 2) + unit
            names[f"{units[unit]}und{german_tens[index]}"] = value
            names[f"{dutch[unit]}en{dutch_tens[index]}"] = value
            tens = italian_tens[index]
            names[f"{tens[:-1] if unit in (1, 8) else tens}{italian[unit]}"] = value
    return names


def _name_numbers() -> dict[str, int]:
    names = _name_compounds()
    for values, lines in ((range(10), _UNITS), (range(10, 20), _TEENS), (range(20, 100, 10), _TENS)):
        for value, line in zip(values, lines, strict=True):
            names |= dict.fromkeys(line.split(), value)
    for value, line in _HUNDREDS.items():
        names |= dict.fromkeys(line.split(), value)
    return names


VALUES = _name_numbers()
_LONGEST = max(map(len, VALUES))
_SHORTEST = 3


def split_numerals(word: str) -> list[str]:
    """Return the numerals that a word is made of (`fourone` is four and one), or nothing when it holds others."""
    if word in VALUES or word in HUNDRED or word in TIMES:
        return [word]
    if len(word) < 2 * _SHORTEST or len(word) > 80:
        return []
    parts = []
    position = 0
    while position < len(word):
        for length in range(min(_LONGEST, len(word) - position), _SHORTEST - 1, -1):
            part = word[position : position + length]
            if part in VALUES or part in TIMES:
                parts.append(part)
                position += length
                break
        else:
            return []
    return parts


def compose(value: int, word: str, following: int, following_word: str) -> int | None:
    """Return the number that two numerals in a row make (twenty three is 23), or None when they stay two."""
    if word in ("quatre", "quattre") and following_word in ("vingt", "vingts"):
        return 80
    if 1 <= following <= 9 and (value % 100 in range(20, 100, 10) or (word == "dix" and following >= 7)):
        return value + following
    if following in range(10, 17) and value in (60, 80):  # soixante-quinze, quatre-vingt-quinze
        return value + following
    if following in range(10, 100) and value in range(100, 1000, 100):
        return value + following
    return None
