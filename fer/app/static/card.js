// On a phone the card lies below the sheet: whoever clicks a tile there is taken to it.
let clicked = -1e9;
const sheet = () => document.querySelector(props.sheet);
document.addEventListener('click', event => {
  if (event.target.closest('[data-choice]') && sheet()?.contains(event.target)) clicked = performance.now();
});
watch('value', () => {
  if (performance.now() - clicked > 3000 || element.getBoundingClientRect().top < innerHeight - 160) return;
  clicked = -1e9;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  element.scrollIntoView({behavior: calm ? 'auto' : 'smooth', block: 'start'});
});
