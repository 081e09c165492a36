// A heading sorts, highest first; a row selects its model, unless text is being marked.
const number = cell => parseFloat(cell.textContent.replace(/,/g, ''));
function sort(head) {
  const place = head.cellIndex, body = head.closest('table').tBodies[0];
  const way = head.getAttribute('aria-sort') === 'descending' ? 'ascending' : 'descending';
  const sign = way === 'descending' ? -1 : 1;
  for (const other of head.parentNode.children) other.setAttribute('aria-sort', other === head ? way : 'none');
  body.append(...[...body.rows].sort((a, b) => {
    const [one, two] = [a, b].map(row => row.cells[place]), [x, y] = [number(one), number(two)];
    if (place === 0) return -sign * one.textContent.localeCompare(two.textContent);
    return (isNaN(x) - isNaN(y)) || sign * (x - y);
  }));
}
function mark() {
  for (const row of element.querySelectorAll('[data-name]')) {
    row.toggleAttribute('aria-current', row.dataset.name === props.current);
  }
}
element.addEventListener('click', event => {
  const head = event.target.closest('thead th');
  if (head) return sort(head);
  const choice = event.target.closest('tbody tr')?.querySelector('[data-choice]');
  if (choice && !String(getSelection())) trigger('choice', {index: Number(choice.dataset.choice)});
});
watch(['value', 'current'], mark);
mark();
