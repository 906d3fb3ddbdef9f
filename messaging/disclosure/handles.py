"""Find names in messengers and social networks, and invitations to talk there instead."""

import re
from collections.abc import Iterator

from messaging.reading import list_words

# Words for nothing else.
_SURE_APPS = (
    r"whats ?app|whatsap|watsapp|whatsup app|wapp|zap|zapzap|insta|instagram|telegram|snapchat|wechat|weixin|viber"
    r"|tiktok|tik tok|facebook|fb|skype|discord|kakaotalk|signal app"
)
# Ordinary words too: no signal, a long line, a snap decision.
_UNSURE_APPS = r"signal|snap|line|ig|messenger|kik|wa|tg|twitter|threads|whats"
_APP = re.compile(rf"(?<!\w)(?:(?P<sure>{_SURE_APPS})|(?P<unsure>{_UNSURE_APPS}))(?!\w)")
APP_WORDS = list_words(
    "whatsapp whats whatsap watsapp whatsup wapp zap zapzap insta instagram telegram snapchat wechat weixin viber "
    "tiktok tik facebook fb skype discord kakaotalk signal snap line ig messenger kik wa tg twitter threads"
)

# `insta: jane.doe`, `my telegram is janedoe`, `snap name jane99`
_NAME_AFTER = re.compile(
    r"(?P<link>(?:'s| is| est| ist| es| e| c'est| :|:| =|=| -|,)? ?"
    r"(?:(?:user ?name|name|handle|id|account|nick|usuario|benutzer|pseudo|conta|nome)(?: is|:| :| =)? ?)?)"
    r"(?P<name>@?[a-z0-9_](?:[\w.\-]{1,28}[a-z0-9_])(?:\#\d{4})?)"
)
_POSSESSIVE = re.compile(r"(?<!\w)(?:my|mi|mon|ma|mein|meine|meu|mio|il mio|o meu|mijn|i'm on|am on)(?: \w{1,9})? $")
_STATES = list_words(
    "the this that these a an is are was not no yes on off down broken dead new old blocked full busy better "
    "easier fine good great faster only also and or but if for from in at to too so me you we they it he she here "
    "there now still always never more less just working fun public private marketplace group groups ads message "
    "messages please app account name number call calls video web story stories post posts photo photos link as "
    "with because when what why how who nicht ist das kein keine geht no funciona mejor pas plus non ou et und "
    "oder oder aber mais pero ma removed"
)
# `add me on Signal`
_INVITATION_BEFORE = re.compile(
    r"(?<!\w)(?P<verb>(?:let's )?(?:"
    r"(?:add|message|msg|text|write|dm|pm|hit|find|contact|reach|follow|call|ping|talk|chat|speak|get|catch|hmu)"
    r"(?: to| with)?(?P<me> me| us)?(?: you)?(?: up)?"
    r"|i'?m|i am"
    r"|(?:ecris|ecrivez|ajoute|ajoutez|contacte|contactez|appelle|appelez|rejoins)[ -](?P<moi>moi)"
    r"|on (?:parle|se parle)"
    r"|(?:schreib|schreibt|schreiben sie|adde?|ruf|kontaktier)(?P<mir> mir| mich)"
    r"|(?:escribe|habla|agrega|anade|contacta|busca|manda|llama)(?P<me_es>me)|hablamos|escribeme|hablemos"
    r"|(?P<me_pt>me )(?:chama|chame|manda|adiciona|add)|chama"
    r"|(?:aggiungi|scrivi|contatta|chiama|trova|cerca)(?P<mi>mi)"
    r"))"
    r" (?:on|via|through|over|by|in|sur|par|auf|uber|ueber|per|por|en|al|no|pelo|su|un|con|une|met)"
    r"(?: (?:my|the|your|o|un|el))? $"
)
# `jane_99 on insta`, `my name is jane99 on insta`
_NAME_BEFORE = re.compile(
    r"(?:(?<![\w.])(?P<said>user|username|name|handle|am|i'm|im|it's|its|is) )?"
    r"(?<![\w.@])(?P<name>[a-z0-9_][\w.]{1,28}[a-z0-9_]) (?:on|en|sur|auf|su|no) $"
)
_MEETING_BEFORE = re.compile(r"(?<!\w)(?:meet|see|pick|wait|park|stop)\w*(?: [a-z]+){0,2} $")
_LONGEST_INVITATION = 48
_ME_AFTER = re.compile(r" me(?!\w)")
_ENDS_AFTER_ME = re.compile(r" me(?= ?(?:$|[.!,?)]| at\b| on\b| and\b| plz| pls| please))")

_BARE_HANDLE = re.compile(r"(?<![\w@.])@[a-z_][\w.]{2,29}(?<!\.)")
_PLACES = list_words(
    "the home house work school station airport hotel office door gate gym cafe bar church hospital clinic park "
    "market mall beach lobby entrance corner reception terminal noon midnight lunch dinner night once least all "
    "first last casa maison zuhause hause bahnhof gare estacion aeropuerto aeroporto stazione lavoro your our my "
    "this that"
)


def find_handles(plain: str) -> list[tuple[int, int]]:
    """Return where the names and invitations of a text start and end."""
    return [*_find_beside_apps(plain), *_find_bare_handles(plain)]


def _find_bare_handles(plain: str) -> Iterator[tuple[int, int]]:
    for match in _BARE_HANDLE.finditer(plain):
        name = match.group()[1:]
        before = plain[max(0, match.start() - _LONGEST_INVITATION) : match.start()]
        if name not in _PLACES and not (name.isalpha() and _MEETING_BEFORE.search(before)):
            yield match.span()


def _find_beside_apps(plain: str) -> Iterator[tuple[int, int]]:
    for app in _APP.finditer(plain):
        sure = app["sure"] is not None
        before = plain[max(0, app.start() - _LONGEST_INVITATION) : app.start()]
        invitation = _INVITATION_BEFORE.search(before)
        if invitation and (sure or _asks_for_me(invitation)):
            yield app.start() - len(before) + invitation.start("verb"), app.end()
        name = _NAME_BEFORE.search(before)
        if name and ("_" in name["name"] or (name["said"] and not name["name"].isalpha())):
            yield app.start() - len(before) + name.start("name"), app.start() - len(before) + name.end("name")
        me = (_ME_AFTER if sure else _ENDS_AFTER_ME).match(plain, app.end())
        if me and app.group() not in ("line", "zap", "whats", "threads"):
            yield app.start(), me.end()
        name = _NAME_AFTER.match(plain, app.end())
        if name and _is_name(name, before, sure=sure, app=app.group()):
            yield name.span("name")


def _asks_for_me(invitation: re.Match[str]) -> bool:
    return any(invitation.group(name) for name in ("me", "moi", "mir", "me_es", "me_pt", "mi")) or (
        invitation["verb"] == "hmu"
    )


def _is_name(match: re.Match[str], before: str, *, sure: bool, app: str) -> bool:
    name, link = match["name"], match["link"]
    if name.startswith("@"):
        return name[1:] not in _PLACES
    if not link or not any(character.isalpha() for character in name):
        return False
    explicit = any(sign in link for sign in ":=") or bool(re.search(r"user|name|handle|id\b|nick|usuario|pseudo", link))
    odd = any(character.isdigit() or character in "_#" for character in name) or ("." in name)
    if app == "line" and not explicit:
        return False
    if odd:
        return explicit or sure or len(name) >= 4
    if name in _STATES:
        return False
    return (explicit and sure) or (link.strip() not in ("", ",", "-") and _POSSESSIVE.search(before) is not None)
