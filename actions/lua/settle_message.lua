-- Records the deliveries of one message and takes it off the outbox, once, however many processes sent it.
--
-- KEYS[1] stream  outbox
-- KEYS[2] stream  notifications, the log of deliveries
--
-- ARGV[1] consumer group   ARGV[2] the row's id   ARGV[3] length of notifications   ARGV[4] now, ms
-- ARGV[5] the message, JSON
-- ARGV[6...] triples: channel, result (delivered | failed), error or ""
--
-- Returns 1, or 0 where the row was settled before.

if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XDEL', KEYS[1], ARGV[2])
for i = 6, #ARGV, 3 do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'at', ARGV[4], 'channel', ARGV[i],
    'status', ARGV[i + 1], 'error', ARGV[i + 2], 'm', ARGV[5])
end
return 1
