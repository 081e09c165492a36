// Any element with `data-choice` chooses what has that number.
element.addEventListener('click', event => {
  const chosen = event.target.closest('[data-choice]');
  if (chosen) trigger('choice', {index: Number(chosen.dataset.choice)});
});
