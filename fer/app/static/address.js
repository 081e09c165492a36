(names, defaults, values) => {
  // Gradio selects the first tab by itself: until the address has been read, nothing may be taken out of it.
  if (!document.addressRestored) return;
  const address = new URL(location);
  names.forEach((name, index) => {
    const value = values[index];
    if (value === defaults[index] || value === null || value === '') address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  });
  if (address.href !== location.href) history.replaceState(history.state, '', address);
}
