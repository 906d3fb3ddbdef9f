"""What `docker compose --profile demo up` needs: `python -m scripts.prepare_compose_demo ENV_FILE [DEMO_FILE]`.

With one argument, makes the settings of the demo if they are missing. With two, makes its platform, operator and
virtual numbers, and prints how to go on.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

from scripts.private_file import write_private

VIRTUAL_NUMBERS = ("+14155550100", "+14155550101", "+14155550102")
PEOPLE = (("Sara", "+14155550123"), ("Omar", "+14155550124"))
# As the containers call each other, and as the browser calls them.
SETTINGS = {
    "PUBLIC_URL": "http://localhost:8000",
    "VONAGE_API_URL": "http://simulator:8099",
    "VONAGE_REST_URL": "http://simulator:8099",
    "VONAGE_MEDIA_HOSTS": "simulator",
    "SIMULATOR_VIRTUAL_NUMBERS": ",".join(VIRTUAL_NUMBERS),
}


def make_settings(env_file: Path) -> None:
    if env_file.exists():
        return
    made = subprocess.run(
        [sys.executable, "manage.py", "generate_keys", "--json"], check=True, capture_output=True, text=True
    )
    settings = json.loads(made.stdout) | SETTINGS
    write_private(env_file, "".join(f'{name}="{value}"\n' for name, value in settings.items()))


def describe(demo_file: Path) -> str:
    demo = json.loads(demo_file.read_text())
    body = {"participants": [{"phone_number": number, "name": name} for name, number in PEOPLE]}
    return f"""
  Two people can text each other now.

  Handsets    http://localhost:8099/
  Admin       http://localhost:8000/admin/   {demo["operator"]["username"]} / {demo["operator"]["password"]}
  API docs    http://localhost:8000/docs

  Open a chat:

curl -X POST http://localhost:8000/chats -H 'Authorization: Bearer {demo["api_key"]}' \\
  -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}
"""


def main(env_file: Path, demo_file: Path | None = None) -> None:
    if demo_file is None:
        make_settings(env_file)
        return
    subprocess.run([sys.executable, "-m", "scripts.prepare_demo", str(demo_file), *VIRTUAL_NUMBERS], check=True)
    print(describe(demo_file), flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
