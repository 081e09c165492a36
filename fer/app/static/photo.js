element.addEventListener('click', event => {
  if (event.target.closest('.clear')) trigger('clear');
});
