// The pressed tile follows a click at once, and the server where something else opens a card.
const press = index => element.querySelectorAll('[data-choice]').forEach(
  tile => tile.setAttribute('aria-pressed', String(Number(tile.dataset.choice) === index)));
element.addEventListener('click', event => {
  const tile = event.target.closest('[data-choice]');
  if (tile) press(Number(tile.dataset.choice));
});
watch('opened', () => press(props.opened));
