"""A transcript as a file for spreadsheets, streamed: however long it is, a few hundred texts are in memory."""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from django.http import StreamingHttpResponse

from chats.models import Chat, Participant, mask
from chats.transcript import Bubble, ShownAttachment, iterate_transcript, name_of

# Without it Excel reads UTF-8 as the code page of the country; programs read it as `utf-8-sig`.
_BYTE_ORDER_MARK = "\ufeff"
_COLUMNS = ("Time", "From", "To", "Kind", "Text", "Attachments", "Outcome", "Error", "Message")
# What spreadsheets take for the beginning of a formula: https://owasp.org/www-community/attacks/CSV_Injection
# Those of full width are the same to some.
_BEGINS_FORMULA = tuple("=+-@＝＋－＠")


class _Line:
    """A file that keeps nothing: what is written to it is what `write` returns."""

    def write(self, line: str) -> str:
        return line


def stream_csv(*, chat: Chat) -> StreamingHttpResponse:
    """Return the transcript of `chat` as a download; its name is the chat's id."""
    return StreamingHttpResponse(
        _write_lines(chat),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="chat-{chat.pk}.csv"',
            "Cache-Control": "private, no-store",
        },
    )


def _write_lines(chat: Chat) -> Iterator[str]:
    write = csv.writer(_Line()).writerow
    yield _BYTE_ORDER_MARK + write(_COLUMNS)
    for bubble in iterate_transcript(chat=chat):
        yield write([_defuse(cell) for cell in _list_cells(bubble)])


def _list_cells(bubble: Bubble) -> Sequence[str]:
    message = bubble.message
    return (
        _show_time(message.created_at),
        "Service" if bubble.is_service else _show_person(bubble.writer),
        _show_person(bubble.recipient) if bubble.recipient else "",
        message.get_kind_display(),
        bubble.body,
        "\n".join(_show_attachment(attachment) for attachment in bubble.attachments),
        bubble.outcome,
        bubble.error,
        str(message.pk),
    )


def _show_person(person: Participant | None) -> str:
    if person is None or not person.phone_number:
        # Nobody we know, or who has been erased.
        return name_of(person)
    return f"{name_of(person)} ({mask(person.phone_number)})"


def _show_attachment(attachment: ShownAttachment) -> str:
    return f"{attachment.words} {attachment.link}".rstrip()


def _show_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _defuse(cell: str) -> str:
    """Return a cell that a spreadsheet shows as it is and does not calculate."""
    begins_formula = cell.lstrip().startswith(_BEGINS_FORMULA) or cell[:1] in ("\t", "\r", "\n")
    return f"'{cell}" if begins_formula else cell
