// Reports one of everything through an unmodified Sentry SDK for Node: `node report.cjs DSN`.

'use strict';

const Sentry = require('@sentry/node');

Sentry.init({
  dsn: process.argv[2],
  release: 'till@1.2.3',
  environment: 'test',
  tracesSampleRate: 1.0,
  enableLogs: true,
  _experiments: { enableLogs: true },
  beforeSend: (event) => (event.message === 'unwanted' ? null : event),
});

async function main() {
  Sentry.setUser({ id: '17', email: 'alice@example.org' });
  Sentry.setExtra('password', 'hunter2');
  Sentry.getCurrentScope().addAttachment({
    filename: 'till.log',
    data: 'alice@example.org logged in\n'.repeat(100),
  });
  Sentry.startSpan({ op: 'task', name: 'close the day' }, () => {
    try {
      null.total();
    } catch (error) {
      Sentry.captureException(error);
    }
  });
  Sentry.captureMessage('unwanted');
  // Larger than 32 KiB: the SDK compresses it, and sends it in chunks without a length.
  Sentry.captureMessage('large ' + 'x y '.repeat(12000));
  Sentry.getCurrentScope().clearAttachments();
  Sentry.captureFeedback({ message: 'the till is stuck', email: 'alice@example.org', name: 'Alice' });
  Sentry.withMonitor('nightly', () => {});
  if (Sentry.logger) {
    Sentry.logger.warn('card 4111 1111 1111 1111 was declined');
    Sentry.logger.error('the till is stuck');
  }
  // The SDK began a session by itself. What was reported in it is counted once it is on its way.
  await Sentry.flush(20000);
  Sentry.endSession();
  await Sentry.flush(20000);
}

main();
