// table: a table that can be sorted by any column, filtered, and copied as CSV. Columns are { key, title, kind, hint },
// rows are plain objects; cells of the first column are row headers.

const tables = [];

// A filter such as "n_head=8 best<4.9 exp": every word must match. A word with a sign compares a column, which is
// named by its key or a part of its title.
function make_filter(columns, text) {
  const tests = text.trim().split(/\s+/).filter(Boolean).map(word => {
    const parts = word.match(/^([^<>=!]+)(<=|>=|!=|<|>|=)(.+)$/);
    if (parts) {
      const name = parts[1].toLowerCase();
      const titled = test => columns.find(c => test(c.title.toLowerCase()));
      const column = titled(t => t === name) || columns.find(c => c.key === name) || titled(t => t.includes(name));
      const wanted = Number(parts[3]);
      if (column) {
        return row => {
          const value = row[column.key], numeric = is_number(value) && !Number.isNaN(wanted);
          switch (parts[2]) {
            case '=': return numeric ? value === wanted : String(value) === parts[3];
            case '!=': return numeric ? value !== wanted : String(value) !== parts[3];
            case '<': return numeric && value < wanted;
            case '>': return numeric && value > wanted;
            case '<=': return numeric && value <= wanted;
            default: return numeric && value >= wanted;
          }
        };
      }
    }
    const wanted = word.toLowerCase();
    return row => columns.some(c => format(c.kind, row[c.key]).toLowerCase().includes(wanted));
  });
  return row => tests.every(test => test(row));
}

// Missing values come last in either direction.
function compare_by(key, direction) {
  const missing = x => x === undefined || x === null || x === '';
  return (a, b) => {
    const x = a[key], y = b[key];
    if (missing(x) || missing(y)) return missing(x) - missing(y) || a.order - b.order;
    const c = is_number(x) && is_number(y) ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true });
    return direction * c || a.order - b.order;
  };
}

function csv_text(columns, rows) {
  const quoted = value => {
    const text = value === undefined || value === null ? '' : String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };
  return [columns.map(c => quoted(c.title)), ...rows.map(row => columns.map(c => quoted(row[c.key])))]
    .map(cells => cells.join(',')).join('\r\n') + '\r\n';
}

// Copies text; a page from disk may have no navigator.clipboard, so there is a fallback.
function copy_text(text, button) {
  const said = button.textContent;
  const done = ok => {
    button.textContent = ok ? 'Copied' : 'Could not copy';
    setTimeout(() => { button.textContent = said; }, 1500);
  };
  const old_way = () => {
    const area = el('textarea', { style: 'position:fixed;opacity:0' });
    area.value = text;
    document.body.append(area);
    area.select();
    const ok = document.execCommand('copy');
    area.remove();
    done(ok);
  };
  if (navigator.clipboard && isSecureContext) navigator.clipboard.writeText(text).then(() => done(true), old_way);
  else old_way();
}

// options: { filter: placeholder, sort: key, descending, name(row) → element for the first cell, mark(row) → class }
function make_table(parent, columns, rows, options) {
  options = options || {};
  rows = rows.map((row, order) => Object.assign({ order }, row));
  const table = { key: options.sort, direction: options.descending ? -1 : 1, text: '', columns };
  const body = el('tbody');
  const count = el('span', { class: 'soft' });
  const headings = columns.map(column => el('th', { scope: 'col', class: column.kind === 'text' ? 'text' : '', title: column.hint },
    el('button', { type: 'button', click: () => table.sort(column.key) }, column.title)));
  const cell = (row, column, first) => {
    const content = first && options.name ? options.name(row) : format(column.kind, row[column.key]);
    const kind = column.kind === 'text' ? 'text' : '';
    return first ? el('th', { scope: 'row', title: format(column.kind, row[column.key]) }, content) : el('td', { class: kind }, content);
  };
  table.rows = () => {
    const list = rows.filter(make_filter(columns, table.text));
    if (table.key) list.sort(compare_by(table.key, table.direction));
    return list;
  };
  table.draw = () => {
    const list = table.rows();
    body.replaceChildren(...list.map(row => el('tr', { class: options.mark ? options.mark(row) : '' },
      columns.map((column, i) => cell(row, column, i === 0)))));
    count.textContent = options.filter ? `${list.length} of ${rows.length}` : '';
    headings.forEach((heading, i) => {
      if (columns[i].key !== table.key) heading.removeAttribute('aria-sort');
      else heading.setAttribute('aria-sort', table.direction > 0 ? 'ascending' : 'descending');
    });
  };
  table.sort = key => {
    table.direction = table.key === key ? -table.direction : 1;
    table.key = key;
    table.draw();
  };
  table.csv = () => csv_text(columns, table.rows());
  const copy = el('button', { type: 'button', click: () => copy_text(table.csv(), copy) }, 'Copy CSV');
  const search = options.filter && el('input', { type: 'search', placeholder: options.filter, 'aria-label': 'Filter',
    input: () => { table.text = search.value; table.draw(); } });
  table.node = el('div', {}, el('div', { class: 'table-tools' }, search || null, copy, count),
    el('div', { class: 'table', tabindex: 0 }, el('table', {}, el('thead', {}, el('tr', {}, headings)), body)));
  table.search = search;
  table.draw();
  parent.replaceChildren(table.node);
  tables.push(table);
  return table;
}

