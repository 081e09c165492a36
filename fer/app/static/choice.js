// A click on what has a `data-choice` is the component's `choice` event. Each [data-arrows] group is one tab stop:
// the arrow keys, Home and End move within it, Enter or Space chooses.
const items = group => [...group.querySelectorAll('[data-choice]')];
element.addEventListener('click', event => {
  const item = event.target.closest('[data-choice]');
  if (item) trigger('choice', {index: Number(item.dataset.choice)});
});
element.addEventListener('focusin', event => {
  const item = event.target.closest('[data-arrows] [data-choice]');
  if (!item) return;
  for (const other of items(item.closest('[data-arrows]'))) other.tabIndex = other === item ? 0 : -1;
});
element.addEventListener('keydown', event => {
  const item = event.target.closest('[data-arrows] [data-choice]');
  if (!item || event.ctrlKey || event.altKey || event.metaKey) return;
  const all = items(item.closest('[data-arrows]')), at = all.indexOf(item);
  const top = other => Math.round(other.getBoundingClientRect().top);
  const columns = all.filter(other => top(other) === top(all[0])).length;
  const next = {ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0,
    End: all.length - 1}[event.key];
  if (next === undefined) return;
  event.preventDefault();
  all[next]?.focus();
});
