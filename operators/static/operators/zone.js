// Tells the admin in what time zone this browser is: for operators who have chosen none, from their first page on.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `browser_zone=${zone}; path=/admin/; max-age=31536000; samesite=strict${secure}`;
  }
})();
