// Wakes the islands of a page, once the browser has nothing else to do. Each step has a turn of its own, so that whoever types or taps
// meanwhile waits for one of them and not for all.
(async (script, program) => {
  const turn = () => new Promise((resolve) => setTimeout(resolve));
  if ("requestIdleCallback" in window) await new Promise((resolve) => requestIdleCallback(resolve));
  const [module, compiled] = await Promise.all([import(script), WebAssembly.compileStreaming(fetch(program))]);
  await turn();
  await module.default({ module_or_path: compiled });
  await turn();
  module.hydrate();
  // One that fails is reported and leaves the others alone.
  const wake = (island) => {
    try {
      module[island.dataset.component](island);
    } catch (error) {
      reportError(error);
    }
  };
  // `islands::live` puts islands of a page that was read anew into this one.
  window.wakeIsland = wake;
  for (const island of document.querySelectorAll("leptos-island")) {
    await turn();
    // What came in its place meanwhile is awake.
    if (island.isConnected) wake(island);
  }
})
