// statements: what is said of the chosen runs, in the summary; samples and notes of the others are hidden.
const MOST_EFFECTS = 3;

// A run's name, with how far it is if its losses are not yet what they will be.
const named = run => (run.counts ? run.name : `${run.name} (${run.status})`);

function chosen_words() {
  const list = selection.of(all_indexes), ranked = list.filter(i => runs[i].rank);
  if (selection.all()) return '';
  let text = `Chosen: ${list.length} of ${runs.length} runs, by ${selection.text}.`;
  if (!ranked.length) return text + ' None of them has more than a first evaluation.';
  const by = [...ranked].sort((a, b) => runs[a].best.val - runs[b].best.val || a - b), low = runs[by[0]], high = runs[by[by.length - 1]];
  text += ` Lowest validation loss: ${format('loss', low.best.val)} by ${named(low)} at iteration ${format('count', low.best.iter)}${low.best.iter === 0 ? ', before its first step' : ''}`;
  if (high.best.val > low.best.val) text += `; highest: ${format('loss', high.best.val)} by ${named(high)}`;
  const count = kind => ranked.filter(i => runs[i].overfit.kind === kind).length, worse = count('rises');
  return `${text}. ${count('overfits')} of ${ranked.length} overfit${worse ? `, ${worse} got worse, train loss too` : ''}. ${effect_sentences().slice(0, MOST_EFFECTS).join(' ')}`.trim();
}

selection.listeners.push(() => {
  const words = chosen_words();
  by_id('chosen').hidden = words === '';
  by_id('chosen-words').textContent = words;
  for (const node of document.querySelectorAll('[data-of]')) node.hidden = !selection.chosen.has(Number(node.getAttribute('data-of')));
});
// Samples and notes of chosen runs, and the part of the samples that are folded.
const any_of = (node, selector) => [...node.querySelectorAll(selector)].some(part => !part.hidden);
selection.shows(by_id('samples'), () => any_of(by_id('samples'), '.sample'));
selection.shows(by_id('notes'), () => any_of(by_id('notes'), 'li, p'));
if (by_id('samples-more')) selection.shows(by_id('samples-more'), () => any_of(by_id('samples-more'), '.sample'));
by_id('chosen-all').addEventListener('click', () => selection.set(''));
