// axe: reports to the frame around the page what axe-core finds in it, as it opens and with all parts unfolded and drawn.
// It comes after selftest.js and axe-core.
addEventListener('load', () => setTimeout(async () => {
  const failures = [];
  let checks = 0;
  for (const unfolded of [false, true]) {
    document.querySelectorAll('main details').forEach(node => { node.open = unfolded; });
    if (unfolded) window.report.draw_all();
    try {
      const found = await axe.run(document, { resultTypes: ['violations'] });
      checks += found.passes.length;
      for (const v of found.violations) failures.push(`axe: ${v.id}, ${v.nodes.length} times: ${v.help}: ${v.nodes[0].html.slice(0, 200)}`);
    } catch (error) {
      failures.push(`axe stopped: ${error}`);
    }
  }
  parent.postMessage(JSON.stringify({ frame: window.name, width: innerWidth, axe: true,
    scheme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light', checks, failures }), '*');
}, 200));
