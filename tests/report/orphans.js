// orphans: test_page.lua puts it into a copy of a report of which little is there: no heading stands above nothing, as the
// page opens, with a filter that leaves none, with one run alone, and when the filter is taken away.
addEventListener('load', () => setTimeout(() => {
  const R = window.report, failures = [...problems];
  let checks = 0;
  const look = (filter, what) => {
    try {
      R.selection.set(filter);
      checks++;
      for (const name of orphans()) failures.push(`${what}: nothing beneath ${name}`);
    } catch (error) {
      failures.push(`${what}: ${error.stack || error}`);
    }
  };
  const shown = () => [...document.querySelectorAll('main section')].filter(node => !node.hidden).map(node => node.id).join();
  const before = shown();
  // Points are named by settings, or all by names: here one setting's words would fit and another's would not.
  const points = R.charts.find(figure => figure.title === 'parameters and validation loss');
  const names = points ? points.fresh().chart.data.datasets[0].names : [];
  if (new Set(names.map(name => name.includes('='))).size > 1) failures.push(`points are named now so, now so: ${names.join(', ')}`);
  look('', 'as it opens');
  look('no-run-has-this-name', 'with a filter that leaves none');
  R.D.runs.forEach(run => look(`run=${run.name}`, `with ${run.name} alone`));
  look('', 'without the filter');
  if (shown() !== before) failures.push(`without the filter there are ${shown()}, at first ${before}`);
  failures.push(...problems.slice(failures.filter(f => problems.includes(f)).length));
  parent.postMessage(JSON.stringify({ frame: window.name, width: innerWidth,
    scheme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light', checks, charts: R.charts.length, maps: R.maps.length,
    failures: [...new Set(failures)] }), '*');
}, 50));
