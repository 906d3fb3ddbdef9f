"""What the linter of migrations refuses, and that it refuses none of ours."""

import pytest

from scripts.lint_migrations import ACCEPTED, BEFORE_THE_FIRST_VERSION, find_faults, find_problems


def wrap(*statements: str) -> list[str]:
    return ["BEGIN;", *statements, "COMMIT;"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ('ALTER TABLE "chats_chat" DROP COLUMN "reference" CASCADE;', "DROP_COLUMN"),
        ('ALTER TABLE "chats_chat" RENAME COLUMN "reference" TO "name";', "RENAME_COLUMN"),
        ('ALTER TABLE "chats_chat" RENAME TO "chats_talk";', "RENAME_TABLE"),
        ('DROP TABLE "chats_chat" CASCADE;', "DROP_TABLE"),
        ('ALTER TABLE "chats_chat" ADD COLUMN "mood" varchar(9) NOT NULL;', "NOT_NULL"),
        ('ALTER TABLE "chats_chat" ALTER COLUMN "reference" TYPE varchar(9);', "ALTER_COLUMN"),
        ('ALTER TABLE "chats_chat" ALTER COLUMN "reference" SET NOT NULL;', "SETS_NOT_NULL"),
        ('CREATE INDEX "busy" ON "messaging_message" ("body");', "CREATE_INDEX"),
        ('ALTER TABLE "chats_chat" ADD CONSTRAINT "c" CHECK ("reference" <> \'\');', "VALIDATES_CONSTRAINT"),
    ],
)
def test_what_an_old_process_or_a_busy_table_cannot_bear_is_refused(statement: str, code: str) -> None:
    assert code in {found for found, _ in find_faults(wrap(statement))}


@pytest.mark.parametrize(
    "statements",
    [
        ['ALTER TABLE "chats_chat" ADD COLUMN "mood" varchar(9) NULL;'],
        ['ALTER TABLE "chats_chat" ADD COLUMN "mood" varchar(9) DEFAULT \'calm\' NOT NULL;'],
        ['CREATE INDEX CONCURRENTLY "busy" ON "messaging_message" ("body");'],
        ['CREATE TABLE "moods" ("id" int NOT NULL);', 'CREATE INDEX "by_id" ON "moods" ("id");'],
        ['ALTER TABLE "chats_chat" ADD CONSTRAINT "c" CHECK ("reference" <> \'\') NOT VALID;'],
    ],
)
def test_what_they_can_bear_is_not(statements: list[str]) -> None:
    assert list(find_faults(wrap(*statements))) == []


# An index that is made beside the writers is made in no transaction.
@pytest.mark.django_db(transaction=True)
def test_ours_are_fine_and_each_exception_has_a_reason() -> None:
    assert find_problems(since=BEFORE_THE_FIRST_VERSION) == []
    assert all(len(reason) > 20 for reason in ACCEPTED.values())


@pytest.mark.django_db(transaction=True)
def test_it_reads_the_migrations_there_are() -> None:
    since = {**BEFORE_THE_FIRST_VERSION, "messaging": ""}
    assert any("messaging.0003" in problem for problem in find_problems(since=since))
