"""generate_keys, create_platform and add_virtual_number, as a person runs them."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from chats.models import VirtualNumber
from platforms.models import ApiKey, Platform
from tests.factories import SARA, make_chat

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments):
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def in_shell(*arguments, **environment):
    """Run manage.py with nothing in its environment but `environment`."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ENV_FILE": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def works(api_key):
    return APIClient(headers={"Authorization": f"Bearer {api_key}"}).get("/chats").status_code == 200


class TestGenerateKeys:
    @pytest.mark.slow
    def test_runs_with_nothing_set_and_makes_an_env_file_that_the_service_reads(self, tmp_path):
        made = in_shell("generate_keys")
        assert (made.returncode, made.stderr) == (0, "")
        env_file = tmp_path / ".env"
        env_file.write_text(made.stdout)
        shown = in_shell(
            "shell",
            "--no-imports",
            "--command",
            "import json; from django.conf import settings as s; print(json.dumps("
            "[s.VONAGE_PRIVATE_KEY, s.ENCRYPTION_KEYS, s.VONAGE_API_URL, s.VONAGE_REST_URL, s.DEBUG]))",
            ENV_FILE=str(env_file),
            DATABASE_URL=os.environ["DATABASE_URL"],
        )
        assert shown.returncode == 0, shown.stderr
        private_key, encryption_keys, api_url, rest_url, debug = json.loads(shown.stdout)
        key = load_pem_private_key(private_key.encode(), None)
        assert isinstance(key, RSAPrivateKey) and key.key_size == 2048
        assert [Fernet(key) for key in encryption_keys]
        assert (api_url, rest_url, debug) == ("http://127.0.0.1:8099", "http://127.0.0.1:8099", False)

    def test_prints_an_object_with_every_secret_new_each_time(self):
        one, two = (json.loads(run("generate_keys", "--json")) for _ in range(2))
        assert set(one) == {
            "SECRET_KEY",
            "ENCRYPTION_KEYS",
            "DIGEST_KEY",
            "VONAGE_API_URL",
            "VONAGE_REST_URL",
            "VONAGE_API_KEY",
            "VONAGE_API_SECRET",
            "VONAGE_APPLICATION_ID",
            "VONAGE_SIGNATURE_SECRET",
            "VONAGE_PRIVATE_KEY",
        }
        assert {name for name in one if one[name] == two[name]} == {"VONAGE_API_URL", "VONAGE_REST_URL"}


@pytest.mark.django_db
class TestCreatePlatform:
    def test_prints_a_key_that_works(self):
        printed = json.loads(run("create_platform", "Rides", "--json"))
        platform = Platform.objects.get()
        assert (printed["id"], printed["name"]) == (str(platform.pk), "Rides")
        assert works(printed["api_key"])

    def test_tells_a_person_what_it_did(self):
        printed = run("create_platform", "Rides")
        assert printed.startswith("Created the platform 'Rides'.")
        assert works(printed.split()[-1])

    def test_makes_a_further_key_for_a_platform_that_exists_and_says_so(self):
        first = json.loads(run("create_platform", "Rides", "--json"))
        printed = run("create_platform", "Rides")
        assert "existing platform 'Rides'" in printed
        assert works(first["api_key"]) and works(printed.split()[-1])
        assert (Platform.objects.count(), ApiKey.objects.count()) == (1, 2)

    def test_sets_the_introduction_and_leaves_it_when_not_given(self):
        text = "{name}, {counterpart} of {platform}. Reply STOP to opt out."
        run("create_platform", "Rides", "--introduction", text)
        run("create_platform", "Rides")
        assert Platform.objects.get().introduction == text

    @pytest.mark.parametrize(
        "arguments",
        [
            ["Rides", "--introduction", "No way out"],
            ["Rides", "--introduction", "Call +1 415 555 0100 or STOP"],
            ["x" * 101],
            [" "],
            ["Call 415 555 0100"],
        ],
    )
    def test_refuses_what_cannot_be_texted(self, arguments):
        with pytest.raises(CommandError):
            run("create_platform", *arguments)
        assert not Platform.objects.exists()


class TestAddVirtualNumber:
    def test_adds_a_shared_number_of_the_country_it_is_from(self, db):
        printed = json.loads(run("add_virtual_number", "+14155550100", "--json"))
        number = VirtualNumber.objects.get()
        assert printed == {
            "id": str(number.pk),
            "number": "+14155550100",
            "country": "US",
            "platform": None,
            "messages_per_second": 10,
            "paced_by": "segments",
        }
        assert (number.state, number.platform) == ("active", None)

    def test_adds_a_number_of_one_platform_with_a_rate_and_a_country(self, platform):
        arguments = ["--platform", "Rides", "--rate", "0.5", "--country", "ca"]
        assert "platform 'Rides'" in run("add_virtual_number", "+14155550100", *arguments)
        number = VirtualNumber.objects.get()
        assert (number.platform, number.messages_per_second, number.country) == (platform, 0.5, "CA")

    @pytest.mark.parametrize(
        ("number", "arguments", "paced_by"),
        [
            ("+14155550100", [], "segments"),
            ("+16045550100", [], "segments"),
            ("+18885550100", ["--country", "US"], "texts"),
            ("+61491570006", [], "texts"),
            ("+14155550100", ["--paced-by", "texts"], "texts"),
            ("+61491570006", ["--paced-by", "segments"], "segments"),
        ],
    )
    def test_long_numbers_of_the_us_and_canada_are_paced_by_segments(self, db, number, arguments, paced_by):
        assert json.loads(run("add_virtual_number", number, *arguments, "--json"))["paced_by"] == paced_by

    @pytest.mark.parametrize(
        "number, country", [("+61491570006", "AU"), ("+883510000000094", ""), ("+447700900001", "")]
    )
    def test_finds_the_country_where_there_is_one(self, db, number, country):
        assert json.loads(run("add_virtual_number", number, "--json"))["country"] == country

    @pytest.mark.parametrize(
        "arguments, sentence",
        [
            (["+14155550101"], "exists already"),
            (["14155550100"], "E.164"),
            (["+1 415 555 0100"], "E.164"),
            (["+1415555010٣"], "E.164"),
            (["nonsense"], "E.164"),
            (["+14155550100", "--platform", "Nobody"], "no platform of this name"),
            (["+14155550100", "--rate", "0"], "rate"),
            (["+14155550100", "--rate", "-1"], "rate"),
            (["+14155550100", "--rate", "nan"], "rate"),
            (["+14155550100", "--rate", "inf"], "rate"),
            (["+14155550100", "--country", "Utopia"], "country"),
            ([SARA], "person in an open chat"),
        ],
    )
    def test_says_in_one_sentence_why_not(self, platform, arguments, sentence):
        run("add_virtual_number", "+14155550101")
        make_chat(platform)
        with pytest.raises(CommandError, match=sentence) as caught:
            run("add_virtual_number", *arguments)
        assert str(caught.value).count(".") <= 2
        assert VirtualNumber.objects.count() == 1

    def test_adds_the_number_of_a_person_whose_chat_has_ended(self, api, platform, virtual_number):
        api.post(f"/chats/{make_chat(platform).pk}/end")
        run("add_virtual_number", SARA)
        assert VirtualNumber.objects.count() == 2


@pytest.mark.parametrize("command", ["generate_keys", "create_platform", "add_virtual_number"])
def test_help_says_what_a_command_is_for(command, capsys):
    with pytest.raises(SystemExit):
        call_command(command, "--help")
    assert "--json" in capsys.readouterr().out
