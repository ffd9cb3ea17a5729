// theme: colours of charts, light and dark, each of a contrast of 3 at least with the page. The palette is safe for colour-blind readers (Okabe and Ito's, and lighter
// variants on dark); the baseline and the marks differ in shape, too.
const palettes = {
  light: { lines: ['#0072b2', '#d55e00', '#009e73', '#b0568c', '#b57f00', '#3a9bd1', '#6a3d9a', '#7d6428'],
    ink: '#1b1f24', soft: '#59636e', grid: '#e3e7eb', page: '#ffffff', faint: 'rgba(89, 99, 110, .72)' },
  dark: { lines: ['#5aa9e6', '#ff9248', '#3ccb9e', '#eba3cb', '#f2c14e', '#a5dcff', '#b99cea', '#cdb67c'],
    ink: '#e4e8ec', soft: '#9aa5b1', grid: '#2b323a', page: '#191d22', faint: 'rgba(154, 165, 177, .6)' },
};
const system_dark = matchMedia('(prefers-color-scheme: dark)');
const theme = { choice: 'auto', printing: false, listeners: [] };

theme.name = () => (theme.printing ? 'light' : theme.choice !== 'auto' ? theme.choice : system_dark.matches ? 'dark' : 'light');
theme.colours = () => palettes[theme.name()];
theme.line = i => theme.colours().lines[i % theme.colours().lines.length];
// Values are told apart without colours, too; the baseline's dashes are its own.
theme.dash = i => [[], [2, 3], [10, 3], [10, 3, 2, 3], [5, 5], [16, 4]][i % 6];
theme.apply = () => {
  const name = theme.printing ? 'light' : theme.choice;
  if (name === 'auto') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', name);
  for (const listener of theme.listeners) listener();
};

// The same colour with another opacity, from #rrggbb.
const faded = (colour, alpha) => colour + Math.round(alpha * 255).toString(16).padStart(2, '0');

by_id('theme').addEventListener('change', event => {
  theme.choice = event.target.value;
  theme.apply();
});
system_dark.addEventListener('change', theme.apply);
