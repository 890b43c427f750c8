-- Decides on one request for all limits of a place, and spends of all that count or of none.
--
-- KEYS: for each limit where its key is kept: the moment at which the quota is whole again, as
-- seconds and nanoseconds, for as long as it is not.
-- ARGV: the time as seconds and nanoseconds, or nothing for the server's own; then for each limit
-- what one request costs and how much may be owed, both in nanoseconds, as how many requests this
-- one counts (where negative, they are given back), and 1 where it is in the shadow.
-- Answer: 1 where it is admitted, else 0; then for each limit how much was owed, in nanoseconds.
local seconds, nanos = string.match(ARGV[1], '^(%d+) (%d+)$')
if not seconds then
  local time = redis.call('TIME')
  seconds, nanos = time[1], time[2] * 1000
end
seconds, nanos = tonumber(seconds), tonumber(nanos)

local answer, spent, shadow = {1}, {}, {}
for i, key in ipairs(KEYS) do
  local interval, tolerance, cost = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  shadow[i] = ARGV[4 * i + 1] == '1'
  local owed = 0
  local whole, rest = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)$')
  if whole then
    -- More can be owed only where the clock was set back.
    owed = math.min(math.max((whole - seconds) * 1e9 + (rest - nanos), 0), tolerance)
  end
  answer[i + 1] = owed
  spent[i] = owed + interval * cost
  if spent[i] > tolerance then
    spent[i] = nil
    if not shadow[i] then answer[1] = 0 end
  end
end

for i, key in ipairs(KEYS) do
  if spent[i] and (answer[1] == 1 or shadow[i]) then
    if spent[i] <= 0 then
      redis.call('DEL', key)
    else
      local total = nanos + spent[i]
      local rest = math.fmod(total, 1e9)
      local moment = string.format('%.0f %.0f', seconds + (total - rest) / 1e9, rest)
      redis.call('SET', key, moment, 'PX', string.format('%.0f', math.ceil(spent[i] / 1e6)))
    end
  end
end
return answer
