/// The script that shows the three VMCSs at a step, and what begins when the page is loaded.
enum VMCSScript {
  static let javaScript = #"""
    const areas = ['Control fields', 'VM-exit information', 'Guest-state area', 'Host-state area'];

    /// The VMCSs at a moment: values by VMCS and field, and what they were the moment before.
    function valuesAt(record, step, moment) {
      const values = [new Map(), new Map(), new Map()], changed = [new Map(), new Map(), new Map()];
      let found = false;
      for (const [at, when, changes] of record.moments) {
        found = at === step && when === moment;
        for (const [vmcs, field, value] of changes) {
          if (found) changed[vmcs].set(field, values[vmcs].get(field) ?? '0x0');
          values[vmcs].set(field, value);
        }
        if (found) break;
      }
      const isFirst = record.moments.length && record.moments[0][0] === step && record.moments[0][1] === moment;
      return found ? { values, changed: isFirst ? [new Map(), new Map(), new Map()] : changed, isFirst } : null;
    }

    const meaning = (field, value) => data.words[`${field}:${value}`] || [];

    function decided(record, field) {
      const entry = record.merge[field];
      if (entry === undefined) return document.createTextNode('');
      if (typeof entry === 'string') return document.createTextNode(entry);
      const list = make('ul');
      for (const [name, first, second, result, origin, bit] of entry)
        list.append(make('li', {}, `${name} (bit ${bit}): ${first}, ${second} → ${result}, ${origin}`));
      return make('details', {}, make('summary', {}, `${entry.length} controls`), list);
    }

    function cell(snapshot, vmcs, field) {
      const value = snapshot.values[vmcs].get(field) ?? '0x0';
      const isChanged = snapshot.changed[vmcs].has(field);
      const place = make('td', { class: isChanged ? 'hex n changed' : 'hex n' }, value);
      if (isChanged) place.append(make('span', { class: 'was' }, `was ${snapshot.changed[vmcs].get(field)}`));
      return place;
    }

    function fieldRow(record, snapshot, field) {
      const [name, , rule] = data.fields[field];
      const values = [0, 1, 2].map(vmcs => snapshot.values[vmcs].get(field) ?? '0x0');
      const words = meaning(field, values[2]).length ? meaning(field, values[2]) : meaning(field, values[1]).length
        ? meaning(field, values[1]) : meaning(field, values[0]);
      const title = make('td', {}, make('code', {}, name));
      if (words.length > 3) {
        const list = make('ul');
        for (const word of words) list.append(make('li', {}, word));
        title.append(make('details', { class: 'words' }, make('summary', {}, `${words.length} controls are 1`), list));
      } else if (words.length) title.append(make('div', { class: 'words' }, words.join(', ')));
      return make('tr', {}, title, cell(snapshot, 0, field), cell(snapshot, 1, field), cell(snapshot, 2, field),
        make('td', {}, rule), make('td', {}, decided(record, field)));
    }

    function drawVMCS() {
      const record = tree().vmcs, place = at('vmcs'), note = at('vmcs-note');
      for (const button of document.querySelectorAll('[data-moment]'))
        button.setAttribute('aria-pressed', String(Number(button.dataset.moment) === state.moment));
      at('all-fields').setAttribute('aria-pressed', String(state.all));
      at('vmcs-bar').hidden = !record;
      if (!record) {
        note.textContent = 'The trace has no VMCSs for this tree. testudo run --trace FILE.trace --trace-vmcs COUNT records '
          + 'them for the first, second, fourth, eighth… tree of each kind of L2 exit.';
        place.replaceChildren();
        return;
      }
      const snapshot = valuesAt(record, state.step, state.moment);
      if (!snapshot) {
        note.textContent = 'The VMCSs of this step were not recorded: the tree is too long.';
        place.replaceChildren();
        return;
      }
      const count = snapshot.changed.map(map => map.size);
      const who = state.moment === 0 ? 'the processor, by the run of the guest and the exit itself' : 'L0, by handling the exit';
      note.textContent = snapshot.isFirst ? 'The beginning of the tree: nothing is marked. Choose "all fields" to see what the VMCSs hold.'
        : `Changed since the moment before: ${count[0]} fields of vmcs01, ${count[1]} of vmcs12, ${count[2]} of vmcs02, by ${who}.`;
      const filter = state.filter.toUpperCase();
      const body = make('tbody');
      let area = -1;
      data.fields.forEach(([name, fieldArea], field) => {
        const isChanged = snapshot.changed.some(map => map.has(field));
        const isUsed = snapshot.values.some(map => (map.get(field) ?? '0x0') !== '0x0');
        if (filter ? !name.includes(filter) : !(isChanged || (state.all && isUsed))) return;
        if (fieldArea !== area) {
          area = fieldArea;
          body.append(make('tr', { class: 'area' }, make('th', { colspan: '6', scope: 'colgroup' }, areas[area])));
        }
        body.append(fieldRow(record, snapshot, field));
      });
      const head = make('tr', {}, ...['field', 'vmcs01', 'vmcs12', 'vmcs02', 'rule for vmcs02', 'decided by, at the VM entry']
        .map((title, index) => make('th', { scope: 'col', class: index > 0 && index < 4 ? 'n' : '' }, title)));
      place.replaceChildren(make('table', { id: 'vmcs-table' }, make('thead', {}, head), body));
    }

    function begin() {
      if (!data.trees.length) return;
      at('board').hidden = false;
      at('tree').addEventListener('change', event => choose(Number(event.target.value)));
      at('previous').addEventListener('click', () => select(state.step - 1, false));
      at('next').addEventListener('click', () => select(state.step + 1, false));
      at('scale').addEventListener('click', () => {
        state.scale = !state.scale;
        at('scale').setAttribute('aria-pressed', String(!state.scale));
        drawLanes();
      });
      at('all-fields').addEventListener('click', () => { state.all = !state.all; drawVMCS(); });
      at('filter').addEventListener('input', event => { state.filter = event.target.value.trim(); drawVMCS(); });
      for (const button of document.querySelectorAll('[data-moment]'))
        button.addEventListener('click', () => { state.moment = Number(button.dataset.moment); drawVMCS(); });
      for (const button of document.querySelectorAll('[data-tree]'))
        button.addEventListener('click', () => { choose(Number(button.dataset.tree)); at('storyboard').scrollIntoView(); });
      choose(data.first);
    }
    begin();
    """#
}
