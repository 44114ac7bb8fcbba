// A page of the product, reporting through the unmodified Sentry SDK for browsers. The server that serves it puts the DSN in.

import * as Sentry from '@sentry/browser';

Sentry.init({
  dsn: document.documentElement.dataset.dsn,
  release: 'till@1.2.3',
  environment: 'test',
});
Sentry.setUser({ id: '17', email: 'alice@example.org' });

function closeTheDay() {
  console.warn('card 4111 1111 1111 1111 was declined');
  const drawer = null;
  // Nobody catches this.
  drawer.total();
}

const button = document.getElementById('close');
button.addEventListener('click', closeTheDay);
button.click();
