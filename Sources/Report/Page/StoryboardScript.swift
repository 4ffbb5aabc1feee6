/// The script that shows the exit trees of a report: lanes, steps and facts.
///
/// It makes every text with `textContent`, so that nothing in a trace can become markup.
enum StoryboardScript {
  static let javaScript = #"""
    'use strict';
    const data = JSON.parse(document.getElementById('data').textContent);
    const phaseNames = data.phases;
    const at = id => document.getElementById(id);
    const group = number => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
    const state = { tree: 0, step: 0, moment: 1, scale: true, all: false, filter: '' };

    function make(name, attributes, ...children) {
      const element = document.createElement(name);
      for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
      for (const child of children) if (child !== null && child !== undefined) element.append(child);
      return element;
    }
    function draw(name, attributes, text) {
      const element = document.createElementNS('http://www.w3.org/2000/svg', name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      if (text !== undefined) element.textContent = text;
      return element;
    }
    const tree = () => data.trees[state.tree];

    function positions(board) {
      const last = board.segments.length ? board.segments[board.segments.length - 1][3] : 1;
      const width = 1060, left = 92;
      if (state.scale) return time => left + width * time / Math.max(1, last);
      const times = [...new Set(board.segments.flatMap(segment => [segment[2], segment[3]]))].sort((a, b) => a - b);
      const place = new Map(times.map((time, index) => [time, index]));
      return time => left + width * (place.get(time) ?? 0) / Math.max(1, times.length - 1);
    }

    function drawLanes() {
      const board = tree(), x = positions(board);
      const svg = draw('svg', {
        viewBox: '0 0 1168 214', tabindex: '0', role: 'listbox', id: 'lanes-svg',
        'aria-label': 'Who ran when. Arrow keys go from exit to exit.',
      });
      const lane = level => 22 + (2 - level) * 56;
      const mine = board.segments.filter(segment => segment[4] === state.step);
      if (mine.length) {
        const from = x(mine[0][2]), to = x(mine[mine.length - 1][3]);
        svg.append(draw('rect', { class: 'band', x: from, y: 10, width: Math.max(1, to - from), height: 170 }));
      }
      ['L0', 'L1', 'L2'].forEach((name, level) => {
        svg.append(draw('text', { x: 12, y: lane(level) + 24, 'font-weight': '600' }, name));
        svg.append(draw('line', { class: 'grid', x1: 44, x2: 1156, y1: lane(level) + 44, y2: lane(level) + 44 }));
      });
      let before = null;
      for (const [level, phase, start, end, step] of board.segments) {
        if (before !== null && before !== level)
          svg.append(draw('line', {
            class: 'turn', x1: x(start), x2: x(start), y1: lane(Math.max(level, before)) + 20,
            y2: lane(Math.min(level, before)) + 20,
          }));
        before = level;
        const event = board.steps[step];
        const bar = draw('rect', {
          class: `seg p-${phase}${step === state.step ? ' on' : ''}`, x: x(start), y: lane(level) + 4,
          width: Math.max(1.5, x(end) - x(start)), height: 36, rx: 2, role: 'option', id: `seg-${start}-${level}`,
          'aria-selected': step === state.step, 'data-step': step,
        });
        bar.append(draw('title', {},
          `L${level}, ${phaseNames[phase]}: ${group(end - start)} cycles (exit ${step + 1}, ${event.from} ${event.reason})`));
        bar.addEventListener('click', () => select(step, false));
        svg.append(bar);
      }
      const last = board.segments.length ? board.segments[board.segments.length - 1][3] : 0;
      if (state.scale) for (let part = 0; part <= 4; part++) {
        const time = Math.round(last * part / 4);
        svg.append(draw('text', {
          class: 'faint', x: x(time), y: 206, 'text-anchor': part === 0 ? 'start' : part === 4 ? 'end' : 'middle',
        }, `${group(time)}${part === 4 ? ' cycles' : ''}`));
      }
      const on = svg.querySelector('.seg.on');
      if (on) svg.setAttribute('aria-activedescendant', on.id);
      svg.addEventListener('keydown', keyed);
      at('lanes').replaceChildren(svg);
    }

    function drawSteps() {
      const body = make('tbody');
      tree().steps.forEach((event, index) => {
        const row = make('tr', {
          class: event.from.toLowerCase(), 'data-step': index, role: 'option',
          tabindex: index === state.step ? '0' : '-1', 'aria-selected': index === state.step,
        },
          make('td', { class: 'n' }, String(index + 1)), make('td', {}, event.from), make('td', {}, event.reason),
          make('td', {}, event.about), make('td', {}, event.to), make('td', { class: 'n' }, group(event.ran)),
          make('td', { class: 'n' }, group(event.host)));
        row.addEventListener('click', () => select(index, false));
        body.append(row);
      });
      body.setAttribute('role', 'listbox');
      body.setAttribute('aria-label', 'The exits of the tree, in order');
      body.addEventListener('keydown', keyed);
      const head = make('tr', {}, ...['#', 'from', 'exit reason', 'about', 'handled by', 'guest ran', 'L0 spent']
        .map((title, index) => make('th', { scope: 'col', class: index === 0 || index > 4 ? 'n' : '' }, title)));
      const table = make('table', { id: 'step-table' }, make('thead', {}, head), body);
      at('steps').replaceChildren(table);
      const left = tree().omitted;
      if (left > 0) at('steps').append(make('p', { class: 'faint' }, `and ${group(left)} exits more, which are not shown`));
    }

    function drawFacts() {
      const board = tree(), event = board.steps[state.step];
      const list = make('dl', { class: 'facts' });
      const fact = (name, value, isHex) => value !== '' &&
        list.append(make('dt', {}, name), make('dd', isHex ? { class: 'hex' } : {}, value));
      fact('exit', `${event.from} to L0, handled by ${event.to}; then ${event.resumes} runs`);
      if (event.operand) fact(event.operand[0], event.operand[1]);
      fact('RIP', event.rip, true);
      fact('exit qualification', event.qualification, true);
      fact('which means', event.qualificationWords);
      fact('at', `cycle ${group(event.start)} of this picture, which begins at cycle ${group(board.origin)} of the run`);
      fact('retired before', `${event.instructions} guest instructions`);
      fact('guest ran', `${group(event.ran)} cycles since its last exit`);
      if (event.exitless[0] + event.exitless[1] > 0)
        fact('without exit', `${group(event.exitless[0])} VMREADs and ${group(event.exitless[1])} VMWRITEs before this exit`);
      const body = make('tbody');
      for (const [name, count, price, cycles] of event.work)
        body.append(make('tr', {}, make('td', {}, name), make('td', { class: 'n' }, group(count)),
          make('td', { class: 'n' }, group(price)), make('td', { class: 'n' }, group(cycles))));
      const total = event.work.reduce((sum, row) => sum + row[3], 0);
      const work = make('table', { id: 'work' }, make('caption', {}, 'What L0 spent on this exit, in cycles'),
        make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'item'), make('th', { scope: 'col', class: 'n' }, 'count'),
          make('th', { scope: 'col', class: 'n' }, 'price'), make('th', { scope: 'col', class: 'n' }, 'cycles'))),
        body, make('tfoot', {}, make('tr', {}, make('th', { scope: 'row', colspan: '3' }, 'in all'), make('td', { class: 'n' }, group(total)))));
      const parts = make('ul', { class: 'key' });
      for (const [level, phase, start, end, step] of board.segments) if (step === state.step)
        parts.append(make('li', {}, make('i', { class: `p-${phase}` }), `${phaseNames[phase]}: ${group(end - start)}`));
      at('facts').replaceChildren(
        make('h3', { id: 'facts-title' }, `Exit ${state.step + 1} of ${group(board.size)}: ${event.from} ${event.reason}`), list,
        make('p', { class: 'faint' }, 'Phases of this step, in cycles:'), parts, work);
    }

    function keyed(press) {
      const last = tree().steps.length - 1;
      const next = {
        ArrowRight: state.step + 1, ArrowDown: state.step + 1, ArrowLeft: state.step - 1, ArrowUp: state.step - 1,
        Home: 0, End: last, PageDown: state.step + 10, PageUp: state.step - 10,
      }[press.key];
      if (next === undefined || press.ctrlKey || press.metaKey || press.altKey) return;
      press.preventDefault();
      select(Math.min(last, Math.max(0, next)), true);
    }

    function select(step, byKey) {
      const inLanes = document.activeElement && document.activeElement.id === 'lanes-svg';
      state.step = step;
      show();
      if (!byKey) return;
      if (inLanes) at('lanes-svg').focus();
      else document.querySelector('#steps tr[aria-selected=true]').focus();
    }

    function show() {
      drawLanes();
      drawSteps();
      drawFacts();
      drawVMCS();
      const row = document.querySelector('#steps tr[aria-selected=true]');
      const box = at('steps');
      if (row && (row.offsetTop < box.scrollTop + 30 || row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight))
        box.scrollTop = row.offsetTop - box.clientHeight / 2;
      at('previous').disabled = state.step === 0;
      at('next').disabled = state.step === tree().steps.length - 1;
    }

    function choose(index) {
      state.tree = index;
      state.step = 0;
      at('tree').value = String(index);
      const board = tree();
      at('about-tree').textContent =
        `L2 exit ${group(board.tree)} of the run, at cycle ${board.at}: ${group(board.size)} hardware exits, `
        + `${group(board.span)} cycles until L2 ran again.`;
      for (const button of document.querySelectorAll('[data-tree]'))
        button.setAttribute('aria-current', String(Number(button.dataset.tree) === index));
      show();
    }

    """#
}
