#!/usr/bin/env bash
# Judges from outside, against the debug server: the own tests of OpenAI's Python package; schemathesis, which sends what our OpenAPI
# document allows and what it forbids (CONFORMANCE_EXAMPLES, 100 unless set, requests an endpoint); and Claude Code.
. "$(dirname "$0")/lib.sh"
. scripts/sandbox.sh

claude_version=2.1.332

scripts/setup.sh node
python_with tests/conformance/requirements.txt
# The tests come in the package's source archive only; pip knows where it is.
version=$(sed -n 's/^openai.*==//p' tests/conformance/requirements.in)
source=$TOOLS_DIR/openai-$version-tests
if [ ! -e "$source/tests" ]; then
  say "Fetching the tests of openai $version (pip; once)"
  rm -rf "$source" "$source.part"
  mkdir -p "$source.part"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary openai --dest "$source.part" "openai==$version"
  tar -xf "$source.part/openai-$version.tar.gz" -C "$source.part"
  (
    cd "$source.part/openai-$version/tests"
    # What is ours to choose: the key, and models, whose ids have a vendor with us.
    sed -i 's/^api_key = "My API Key"$/api_key = os.environ["CONFORMANCE_KEY"]/' conftest.py
    cd api_resources
    sed -i -E 's/"(gpt-6-astra|gpt-3.5-turbo-instruct|text-embedding-3-small)"/"sandbox\/echo"/' test_*.py chat/test_*.py
  )
  mv "$source.part/openai-$version" "$source"
  rm -rf "$source.part"
fi
claude=$TOOLS_DIR/claude-code-$claude_version
if [ ! -e "$claude/installed" ]; then
  say "Installing Claude Code $claude_version (npm; once)"
  npm install --silent --no-audit --no-fund --prefix "$claude" "@anthropic-ai/claude-code@$claude_version"
  touch "$claude/installed"
fi
throwaway_cluster
(
  serve_sandbox conformance
  failed=
  step "The tests of openai $version"
  (
    cd "$source"
    export TEST_API_BASE_URL=$url/v1 CONFORMANCE_KEY=$key PYTHONDONTWRITEBYTECODE=1
    # Of embeddings the loose tests: the package asks for base64, and then is strict about floats.
    "$python" -m pytest -p no:cacheprovider -q -n0 --durations=0 --durations-min=5 \
      tests/api_resources/{chat/test_completions,test_completions,test_embeddings,test_models}.py \
      -k '(create and not (test_embeddings and (strict or aiohttp))) or (test_models and (list or retrieve))'
  ) || failed=yes

  step "schemathesis"
  # Models are drawn from those that answer, or everything would be 404.
  "$toki" openapi | node -e '
    const document = JSON.parse(require("fs").readFileSync(0));
    document.components.schemas.ModelId = { enum: ["echo", "tool", "no-usage", "empty"].map((name) => `sandbox/${name}`) };
    console.log(JSON.stringify(document));' >openapi.json
  # Of its checks all but one: what we let through is for the supplier to refuse, and the sandbox takes nearly everything.
  "$(dirname "$python")/schemathesis" run openapi.json --url "$url" --header "Authorization: Bearer $key" --checks all \
    --exclude-checks positive_data_acceptance --phases examples,coverage,fuzzing --max-examples "${CONFORMANCE_EXAMPLES:-100}" \
    --generation-deterministic --continue-on-failure \
    --suppress-health-check filter_too_much --warnings off --request-timeout 30 --no-color || failed=yes
  step "Claude Code $claude_version"
  # ask_claude KEY: its answer as JSON. With a home of its own, and without our environment.
  ask_claude() {
    env -i PATH="$PATH" HOME="$home" CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_AUTOUPDATER=1 ANTHROPIC_BASE_URL="$url" \
      ANTHROPIC_API_KEY="$1" ANTHROPIC_MODEL=sandbox/echo timeout 120 "$claude/node_modules/.bin/claude" -p "say two words" \
      --output-format json </dev/null 2>>claude.log || true
  }
  since=$(date -u +%FT%TZ)
  said=$(ask_claude "$key" | field usage.output_tokens)
  recorded=$("$toki" usage --email $email --since "$since" --json | field 'usage.map((call) => call.output_tokens).join()')
  [ "$said" = "$recorded" ] && say "it was answered $said Tokens, as we recorded" || { failed=yes; say "it says $said Tokens, we $recorded"; }
  poor=$(new_key poor --quota 1)
  [[ $(ask_claude "$poor" | field result) == *"too little of its quota"* ]] && say "it says when the quota is used up" || failed=yes
  "$toki" audit || failed=yes
  [ -z "$failed" ]
)
