"""A newcomer's checklist: does the account at Vonage fit this service, and how is mended what does not."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from chats.models import VirtualNumber
from chats.number_sync import is_linked
from messaging.gateways import AccountError, Outcome, OwnedNumber, SendError
from messaging.gateways.vonage_account import Application, VonageAccount, WebhookUrl, fits_private_key
from messaging.signatures import read_signature

INBOUND_PATH = "/webhooks/inbound"
STATUS_PATH = "/webhooks/status"


class State(Enum):
    OK = "ok"
    BROKEN = "!!"
    UNKNOWN = "??"


@dataclass(frozen=True)
class Finding:
    """What was found of one thing, in a sentence that says how to mend it when it is broken."""

    check: str
    state: State
    sentence: str


def check_account() -> Iterator[Finding]:
    """Look at everything that must fit, one after the other; nothing is changed, and no text is sent."""
    yield _check_public_url()
    yield _check_sending()
    try:
        account = VonageAccount()
    except AccountError as error:
        yield _explain("api secret", error)
    else:
        yield _check_balance(account)
        yield from _check_application(account)
        yield from _check_numbers(account)
    yield from _check_webhooks()


def _check_public_url() -> Finding:
    check = "public url"
    url, host = settings.PUBLIC_URL, urlsplit(settings.PUBLIC_URL).hostname or ""
    if _is_private(urlsplit(settings.VONAGE_API_URL).hostname or ""):
        return Finding(check, State.OK, f"Vonage is simulated near by, and {url} needs to be reached only from there.")
    if _is_private(host):
        return Finding(check, State.BROKEN, f"Vonage cannot reach {url}: set PUBLIC_URL to a public https:// address.")
    if urlsplit(url).scheme != "https":
        return Finding(check, State.BROKEN, f"{url} is not https: texts would cross the internet for all to read.")
    return Finding(check, State.OK, f"{url} is an address that Vonage can reach, if the proxy in front answers there.")


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        # A name; without a dot only machines near by know it.
        return "." not in host


def _check_sending() -> Finding:
    from messaging.gateways.vonage import VonageGateway  # messaging.gateways.vonage_client says why here

    check = "sending"
    try:
        VonageGateway().check_credentials()
    except ImproperlyConfigured as error:
        return Finding(check, State.BROKEN, str(error))
    except SendError as error:
        state = State.BROKEN if error.outcome is Outcome.PAUSE else State.UNKNOWN
        hint = ""
        if error.code in ("401", "403"):
            hint = " VONAGE_PRIVATE_KEY must be that of VONAGE_APPLICATION_ID, with Messages on."
        return Finding(check, state, f"{error.detail} ({error.code}){hint}")
    return Finding(check, State.OK, "Vonage takes texts that are signed with VONAGE_PRIVATE_KEY.")


def _check_balance(account: VonageAccount) -> Finding:
    try:
        balance = account.read_balance()
    except AccountError as error:
        return _explain("balance", error)
    left = f"{balance.amount:.2f} {balance.currency}"
    if balance.amount <= 0:
        return Finding("balance", State.BROKEN, f"The balance is {left}: top it up, else no text is sent.")
    if balance.amount < settings.BALANCE_WARNING:
        return Finding("balance", State.BROKEN, f"The balance is {left}, less than BALANCE_WARNING: top it up.")
    return Finding("balance", State.OK, f"The API key and secret are right, and the balance is {left}.")


def _check_application(account: VonageAccount) -> Iterator[Finding]:
    try:
        application = account.read_application()
    except AccountError as error:
        yield _explain("application", error)
        return
    if application is None:
        sentence = "The account has no application of VONAGE_APPLICATION_ID: copy the id from Applications > yours."
        yield Finding("application", State.BROKEN, sentence)
        return
    yield Finding("application", State.OK, f"The application is {application.name!r}.")
    yield _check_key(application)
    if not application.messages:
        sentence = "The application has no Messages capability: switch it on under Applications > yours > Edit."
        yield Finding("messages", State.BROKEN, sentence)
        return
    yield Finding("messages", State.OK, "The application has the Messages capability.")
    yield _check_url("inbound url", application.inbound, INBOUND_PATH)
    yield _check_url("status url", application.status, STATUS_PATH)
    yield _check_media(application)


def _check_key(application: Application) -> Finding:
    match fits_private_key(application.public_key):
        case True:
            return Finding("private key", State.OK, "VONAGE_PRIVATE_KEY is the application's.")
        case False:
            sentence = (
                "VONAGE_PRIVATE_KEY is not the application's: generate a new pair under Applications > yours > Edit."
            )
            return Finding("private key", State.BROKEN, sentence)
        case None:
            sentence = "The application's public key, or VONAGE_PRIVATE_KEY, cannot be read, so they are not compared."
            return Finding("private key", State.UNKNOWN, sentence)


def _check_url(check: str, url: WebhookUrl, path: str) -> Finding:
    expected = settings.PUBLIC_URL + path
    # What follows may be a secret token.
    address, _, query = url.address.partition("?")
    if address != expected:
        name = {INBOUND_PATH: "Inbound URL", STATUS_PATH: "Status URL"}[path]
        sentence = f"It is {address or 'empty'}: enter {expected} as {name} under Applications > yours > Messages."
        return Finding(check, State.BROKEN, sentence)
    if url.method not in ("POST", ""):
        return Finding(check, State.BROKEN, f"Its method is {url.method}: set it to POST with the Application API.")
    if query and settings.VONAGE_LEGACY_WEBHOOKS != "token":
        return Finding(check, State.BROKEN, f"It has a query: enter {expected} and nothing after it.")
    return Finding(check, State.OK, f"It is {expected}.")


def _check_media(application: Application) -> Finding:
    if application.media_is_secured:
        return Finding("media", State.OK, "Only the application can fetch pictures that people send.")
    sentence = (
        "Whoever learns the address of a picture can fetch it from Vonage for two days; "
        "authenticate_inbound_media of the Application API secures them."
    )
    return Finding("media", State.OK, sentence)


def _check_numbers(account: VonageAccount) -> Iterator[Finding]:
    try:
        owned = {number.number: number for number in account.list_numbers()}
    except AccountError as error:
        yield _explain("numbers", error)
        return
    ours = list(VirtualNumber.objects.exclude(state=VirtualNumber.State.RETIRED))
    problems = [
        Finding("numbers", State.BROKEN, f"{row.number} {problem}")
        for row in ours
        if (problem := _find_problem(row, owned.get(row.number)))
    ]
    yield from problems
    if not any(row.state == VirtualNumber.State.ACTIVE for row in ours):
        sentence = (
            "No virtual number is active, so no chat can begin: `manage.py sync_virtual_numbers` brings in those of "
            "the account, and the admin makes them active."
        )
        yield Finding("numbers", State.BROKEN, sentence)
    elif not problems:
        more = len(owned.keys() - {row.number for row in VirtualNumber.objects.all()})
        hint = f" {more} more of the account can be brought in: `manage.py sync_virtual_numbers`." if more else ""
        count = f"{len(ours)} virtual number{' is' if len(ours) == 1 else 's are'}"
        linked = "" if settings.VONAGE_LEGACY_WEBHOOKS else ", and linked to the application"
        yield Finding("numbers", State.OK, f"{count} in the account{linked}.{hint}")


def _find_problem(row: VirtualNumber, owned: OwnedNumber | None) -> str:
    if owned is None:
        return "is not in the account: rent it, or retire it in the admin."
    if not is_linked(owned):
        where = "another application" if owned.application_id else "no application"
        return f"is linked to {where}: link it under Applications > yours > Link numbers."
    if row.state == VirtualNumber.State.ACTIVE and not owned.can_sms:
        return "has no SMS: rent one that has, and retire this one in the admin."
    return ""


def _check_webhooks() -> Iterator[Finding]:
    """The signature secret, and which API's format the account uses, can be asked of no API."""
    if settings.VONAGE_SIGNATURE_SECRET == settings.VONAGE_API_SECRET:
        sentence = "VONAGE_SIGNATURE_SECRET is the API secret: copy the signature secret from API Settings."
        yield Finding("signature", State.BROKEN, sentence)
    elif signed_at := read_signature():
        sentence = (
            f"A webhook with the signature of VONAGE_SIGNATURE_SECRET came at {signed_at:%-d %b %Y, %H:%M} UTC; "
            'one that is not believed is in the log as "webhook refused".'
        )
        yield Finding("signature", State.OK, sentence)
    elif settings.VONAGE_LEGACY_WEBHOOKS == "token":
        sentence = (
            "Webhooks of the SMS API are believed by VONAGE_WEBHOOK_TOKEN, so none has shown yet whether "
            "VONAGE_SIGNATURE_SECRET is the account's; a webhook of the Messages API would."
        )
        yield Finding("signature", State.UNKNOWN, sentence)
    else:
        sentence = (
            "Whether VONAGE_SIGNATURE_SECRET is the account's can be asked of nobody: text a virtual number. Not in "
            'the message log? The log of the web process says "webhook refused", and why, or the URL is wrong.'
        )
        yield Finding("signature", State.UNKNOWN, sentence)
    if settings.VONAGE_LEGACY_WEBHOOKS:
        sentence = (
            "With VONAGE_LEGACY_WEBHOOKS, API Settings must name the same two URLs as inbound SMS and delivery receipt "
            "webhooks; they can be asked for nowhere."
        )
        yield Finding("sms api", State.UNKNOWN, sentence)


def _explain(check: str, error: AccountError) -> Finding:
    is_unknown = error.again or error.code == "no_api_secret"
    return Finding(check, State.UNKNOWN if is_unknown else State.BROKEN, f"{error.detail} ({error.code})")
