// The text about a layer is shown before the server answers. One layer is requested at a time; where the visitor has
// moved on meanwhile, the next request is for the last position.
const range = () => element.querySelector('input'), blocks = () => [...element.querySelectorAll('[data-step]')];
let number = 0, requested = null, timer = 0;
function request() {
  if (requested !== null) return;
  requested = range().value;
  timer = setTimeout(answered, 5000);
  trigger('choice', {index: Number(blocks()[requested].dataset.step), number: ++number});
}
function answered() {
  clearTimeout(timer);
  const before = requested;
  requested = null;
  if (before !== null && range().value !== before) request();
}
watch('answered', () => { if (props.answered === number) answered(); });
function moved() {
  const all = blocks(), chosen = all[range().value];
  all.forEach(block => block.classList.toggle('on', block === chosen));
  element.querySelector('output').textContent = chosen.dataset.line;
  range().setAttribute('aria-valuetext', chosen.dataset.line);
  request();
}
element.addEventListener('input', moved);
element.addEventListener('click', event => {
  const block = event.target.closest('[data-step]');
  if (!block) return;
  range().value = blocks().indexOf(block);
  moved();
});
