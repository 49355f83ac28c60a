"""The examples of the docs and of the landing page, taken from the pages as readers copy them and run as they stand. Run by
scripts/docs.sh.

Of settings that an application reads, the address, the key and the model are looked up where that application looks, and used for a call.
"""

import html
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

import anthropic
import openai
import yaml

URL, KEY, PACKAGES = os.environ["DOCS_URL"], os.environ["TOKI_KEY"], os.environ["DOCS_NODE_PACKAGES"]
# What cargo said when it had an example compiled.
BUILD = os.environ["DOCS_BUILD"]

SNIPPET = re.compile(r"<pre\b([^>]*)>\s*<code>(.*?)</code>", re.DOTALL)
# The crates that we compile leave it to the program which cryptography there is; a reader's have one that reqwest chose.
RUST = """
mod example {
    include!("example.rs");
    pub fn start() -> Result<(), Box<dyn std::error::Error>> { main() }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    example::start()
}
"""


def crates(*names):
    """The compiled crates of these names: those that the macros of the build use are others."""
    with open(BUILD) as log:
        (command,) = [line for line in log if "--crate-name call " in line]
    externs = dict(re.findall(r"--extern (\w+)=(\S+\.rlib)", command))
    return [(name, externs[name]) for name in names]


def compiled(path):
    """The program of the Rust example in this file, which must be named `example.rs`."""
    folder = os.path.dirname(path)
    with open(f"{folder}/main.rs", "w") as file:
        file.write(RUST)
    command = ["rustc", "--edition", "2024", f"{folder}/main.rs", "-o", f"{folder}/main"]
    for name, library in crates("reqwest", "rustls", "serde_json", "tokio"):
        command += ["-L", f"dependency={os.path.dirname(library)}", "--extern", f"{name}={library}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return f"{folder}/main"


PROGRAMS = {
    "Shell": lambda path: ["bash", "-euo", "pipefail", path],
    "Python": lambda path: [sys.executable, "-B", path],
    "Node.js": lambda path: ["node", path],
    "Rust": lambda path: [compiled(path)],
}
ENDINGS = {"Shell": ".sh", "Python": ".py", "Node.js": ".mjs", "Rust": ".rs"}


def page(path):
    with urllib.request.urlopen(URL + path) as answer:
        return answer.read().decode()


def snippets(path):
    """What is to be tried out of a page: how, in which language, and the code."""
    for attributes, code in SNIPPET.findall(page(path)):
        attributes = {name: html.unescape(value) for name, value in re.findall(r'([a-z-]+)="([^"]*)"', attributes)}
        if "data-check" in attributes:
            language = attributes["aria-label"].rsplit(": ", 1)[1]
            yield attributes["data-check"], language, html.unescape(re.sub(r"<!.*?>", "", code))


def front():
    """What the landing page shows: two settings, which any OpenAI client reads, and a call by hand, which reads one of them."""
    settings, call = [html.unescape(code) for _, code in SNIPPET.findall(page("/"))]
    assert "sk-toki-…" in settings, settings
    settings = settings.replace("sk-toki-…", KEY)
    yield "run", "Shell", f"{settings}\n{call}"
    model = re.search(r'"model": "([^"]+)"', call)[1]
    question = f"openai.OpenAI().chat.completions.create(model={model!r}, messages=[{{'role': 'user', 'content': 'Hello'}}])"
    yield "run", "Shell", f"{settings}\n{sys.executable} -B - <<'END'\nimport openai\nprint({question})\nEND"


def run(language, code):
    """Runs a program in a folder of its own, where the packages are. It must succeed and say something."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(PACKAGES, f"{folder}/node_modules")
        # A reader sees curl's refusal; here it must be a failure.
        with open(f"{folder}/.curlrc", "w") as settings:
            settings.write("fail-with-body\n")
        path = f"{folder}/example{ENDINGS[language]}"
        with open(path, "w") as file:
            file.write(code)
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "CURL_HOME": folder, "TOKI_KEY": KEY}
        done = subprocess.run(PROGRAMS[language](path), cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout.strip(), (done.stdout, done.stderr)
    # Of a stream whose answer broke off, curl knows nothing.
    assert not re.search(r'"error":\s*\{', done.stdout), done.stdout


def ask_openai(base_url, key, model):
    client = openai.OpenAI(base_url=base_url, api_key=key)
    assert model in [listed.id for listed in client.models.list()]
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content == "Hello"


def claude_code(text):
    settings = json.loads(text)["env"]
    client = anthropic.Anthropic(base_url=settings["ANTHROPIC_BASE_URL"], auth_token=settings["ANTHROPIC_AUTH_TOKEN"], api_key=None)
    message = client.messages.create(
        model=settings["ANTHROPIC_MODEL"], max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
    )
    assert message.content[0].text == "Hello"


def continue_(text):
    settings = yaml.safe_load(text)
    assert settings["schema"] == "v1" and {"name", "version"} <= settings.keys()
    (model,) = settings["models"]
    assert model["provider"] == "openai" and model["name"]
    ask_openai(model["apiBase"], model["apiKey"], model["model"])


def open_webui(text):
    service = yaml.safe_load(text)["services"]["open-webui"]
    environment = service["environment"]
    base_url, key = environment["OPENAI_API_BASE_URL"], environment["OPENAI_API_KEY"]
    # It shows the models that it finds.
    first = next(iter(openai.OpenAI(base_url=base_url, api_key=key).models.list())).id
    assert first.startswith("sandbox/")
    ask_openai(base_url, key, "sandbox/echo")


def cursor(text):
    fields = dict(re.split(r"  +", line, maxsplit=1) for line in text.splitlines())
    ask_openai(fields["Override OpenAI Base URL"], fields["OpenAI API Key"], fields["Add model"])


APPLICATIONS = {"claude-code": claude_code, "continue": continue_, "open-webui": open_webui, "cursor": cursor}
# How each of them is told the key, which the reader has in the environment.
KEYS = ["${{ secrets.TOKI_KEY }}", "${TOKI_KEY}", "$TOKI_KEY"]


def try_out(check, language, code):
    if check == "run":
        return run(language, code)
    for written in KEYS:
        code = code.replace(written, KEY)
    APPLICATIONS[check](code)


def main():
    paths = sorted(set(re.findall(r'href="(/docs/[a-z-]+)"', page("/docs"))))
    assert len(paths) == 10, paths
    tried, failed, checks = 0, [], set()
    for path in ["/", *paths]:
        for check, language, code in front() if path == "/" else snippets(path):
            tried += 1
            checks.add((check, language))
            try:
                try_out(check, language, code)
            except Exception as error:
                failed.append(path)
                print(f"{path}, {language} ({check}):\n{code}\n{type(error).__name__}: {error}\n", file=sys.stderr)
    # A page whose form has changed must not pass by showing nothing.
    wanted = {("run", language) for language in PROGRAMS} | {(name, None) for name in APPLICATIONS}
    missing = {want for want in wanted if not any(check == want[0] and want[1] in (None, language) for check, language in checks)}
    assert not missing, missing
    print(f"{tried - len(failed)} of {tried} examples of {len(paths)} pages and the landing page work as they stand", *failed)
    sys.exit(1 if failed else 0)


main()
