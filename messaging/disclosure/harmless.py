"""Digits that are plainly something else than a phone number: times, dates, prices, measures, codes with a name."""

import re
from enum import Enum

from messaging.reading import FOUND, list_words

_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_AMOUNT = r"(?:\d{1,3}(?:[.,]\d{3}){1,3}|\d{1,6})(?:[.,]\d{1,2})?"
_CURRENCY = r"(?:€|\$|£|¥|eur|euros?|usd|gbp|chf|dollars?|bucks|pounds?|quid|reais)"
_UNIT = (
    r"(?:km|m|cm|mm|kg|g|mg|ml|l|lbs?|ft|sq|qm|mi|miles?|mins?|minutes?|minuten|minutos?|minuti|h|hours?|hrs?|horas?"
    r"|heures?|ore|uhr|stunden|std|%|°|gb|mb|days?|nights?|weeks?|people|persons?|pax|bags?|dias?|noches|jours?|nuits"
    r"|tage|giorni|st|nd|rd|th)"
)

# Every quantifier is bounded or followed by something that it cannot match, so that each is linear in the text.
_PATTERNS = (
    # 10:30, 10:30:15
    r"(?<![\d:.])(?:[01]?\d|2[0-4])(?::[0-5]\d){1,2}(?![\d:])",
    # 05/12/2026, 12.05.2026, 12-5-2026; 12.05.26 and 12/05/26 when nothing goes on; 12.05. ; 2026-05-12
    rf"(?<!\d){_DAY}([./-]){_DAY}\1(?:19|20)\d\d(?!\d)",
    rf"(?<![\d./-]){_DAY}([./-]){_MONTH}\1\d\d(?![./-]?\d)",
    rf"(?<![\d.]){_DAY}\.{_MONTH}\.(?!\d)",
    r"(?<!\d)(?:19|20)\d\d([./-])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?!\d)",
    # $1,250.00 and 1.250,00 €, and large numbers with commas
    rf"(?:[$€£¥]|\b(?:rs|eur|usd|gbp|chf)\b)\s?{_AMOUNT}(?![\d.,]*\d)",
    rf"(?<![\d.,])(?<!\d[ /-]){_AMOUNT}\s?{_CURRENCY}(?![a-z0-9])",
    r"(?<![\d.,])\d{1,3}(?:,\d{3}){1,3}(?:\.\d{1,2})?(?![\d.,]*\d)",
    # 12.50, 71.2
    r"(?<![\d.,])\d{1,4}[.,]\d{1,2}(?![\d]|[.,]\d)",
    # 2.5 miles, 10pm
    r"(?<![\d.,])\d{1,2}\s?[ap]\.?m(?![a-z])",
    rf"(?<![\d.,])(?<!\d[ /-])\d{{1,5}}(?:[.,]\d{{1,3}})?\s?{_UNIT}(?![a-z0-9])",
    # 37.7749, -122.4194: where to meet is the platform's business
    r"(?<![\d.])\d{1,3}\.\d{3,8}[ ,;]{1,3}-?\d{1,3}\.\d{3,8}(?![\d.])",
    # 120/80
    r"(?<![\d/])\d{1,3}/\d{1,3}(?![\d/]|[ .-]?\d{3})",
    # 21-19 18-21
    r"(?<![\d-])\d{1,2}-\d{1,2}(?:[ ,;]{1,2}\d{1,2}-\d{1,2}){1,8}(?![\d-])",
    # 192.168.1.10
    r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d]|\.\d)",
    # 94105-1234 in the USA, 1250-146 in Portugal, 01310-100 in Brazil
    r"(?<![\d./-])(?<![\d)] )(?<!\))(?:\d{5}-\d{4}|\d{4}-\d{3}|\d{5}-\d{3})(?![\d-])",
    # a company's and a person's number at the tax office, in Brazil
    r"(?<![\d.])(?:\d\d\.\d{3}\.\d{3}/\d{4}-\d\d|\d{3}\.\d{3}\.\d{3}-\d\d)(?!\d)",
    # the number of a card
    r"(?<![\d-])\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?![\d-])",
)
_HARMLESS = tuple(map(re.compile, _PATTERNS))
_IBAN = re.compile(r"(?<![a-z0-9])[a-z]{2}\d\d(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?(?![a-z0-9])")


class Context(Enum):
    """What the words before a number call it."""

    PHONE = "phone"
    OTHER = "other"
    NONE = "none"


_PHONE_WORDS = list_words(
    "rufnummer mobilnummer call calls calling ring phone phones telephone tel tlf cell cellphone mobile mob text "
    "texting sms dial reach digits landline whatsapp whatsap wapp zap handy ruf rufen anrufen telefon "
    "telefonnummer handynummer mobil erreichbar telefonisch vorwahl appelle appelez appeler portable joindre "
    "llama llamame llamar llameme marca movil celular telefono telefonico telemovel telefone liga ligue ligar "
    "contacto chiama chiamami chiamare cellulare bel mobiel telefoon area"
)
_OTHER_WORDS = list_words(
    "code codes pin order booking reservation reserve confirmation conf ref reference invoice receipt tracking "
    "parcel policy account acct acc flight ticket case serial isbn model wifi wlan password pass passcode alarm "
    "gate lockbox keypad gift card version build iban apt apartment unit room flat suite po zip plate "
    "registration passport licence license artikel artikelnummer article articulo articolo artigo ean upc barcode "
    "zelle venmo transaction check cheque routing trip siret siren secu securite iva cnpj usps ups fedex dhl tax "
    "vat ssn nif dni cpf member membership id item sku lot claim file job bestellung bestellnummer bestellnr "
    "auftrag auftragsnummer buchung buchungsnummer rechnung kundennummer kennwort passwort zimmer wohnung "
    "sendungsnummer konto plz vertrag commande reservation reserv dossier facture colis billet vol mot suivi "
    "pedido reserva clave codigo contrasena factura habitacion cuenta vuelo localizador encomenda fatura senha "
    "voo conta cep ordine prenotazione codice fattura volo conto camera bestelling boeking"
)
_NUMBER_WORDS = list_words("number numbers num no nr nummer numero")
_POSSESSIVES = list_words("my her his our s meine mein ihre mon son mi su meu o il mio mijn")
_NUMBERED = list_words("part serial page line seat stop")
_WORDS_BEFORE = re.compile(r"[^\W\d_]+|#")
_LOOK_BACK = 40


def mark_harmless(plain: str) -> bytearray:
    """Return a byte per character: 1 where it belongs to something harmless."""
    harmless = bytearray(len(plain))
    for pattern in _HARMLESS:
        for match in pattern.finditer(plain):
            harmless[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    for match in _IBAN.finditer(plain):
        if _is_iban(match.group()):
            harmless[match.start() : match.end()] = b"\1" * (match.end() - match.start())
    return harmless


def name_context(plain: str, start: int) -> Context:
    """Say what the last telling word before a number, at most five words and forty characters away, calls it."""
    before = plain[max(0, start - _LOOK_BACK) : start]
    before = before[max(before.rfind("\n"), before.rfind("]"), before.rfind(FOUND)) + 1 :]
    if before.rstrip("( ").endswith("#"):
        return Context.OTHER
    words = _WORDS_BEFORE.findall(before)[-5:]
    for index in range(len(words) - 1, -1, -1):
        if words[index] in _PHONE_WORDS:
            return Context.PHONE
        if words[index] in _OTHER_WORDS or (words[index].endswith("nummer") and words[index] not in _NUMBER_WORDS):
            return Context.PHONE if index and words[index - 1] == "area" else Context.OTHER
        if words[index] in _NUMBER_WORDS and index and words[index - 1] in _POSSESSIVES:
            return Context.PHONE
        if words[index] in _NUMBER_WORDS and index and words[index - 1] in _NUMBERED:
            return Context.OTHER
    return Context.NONE


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return 15 <= len(compact) <= 34 and int(digits) % 97 == 1
