// Before anything is painted: the theme that was chosen with the switch. Not a module, so that it runs at once.
try {
  const chosen = localStorage.getItem("forebay.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: the system's theme.
}
