-- text: what a run says to people: steps, items and failures, in words. Knows no
-- tracker.

local text = {}

local STEP_MAX = 4096 -- bytes that a job's current_step may have
local LABEL_MAX = 200
local GIVEN_MAX = 60 -- of a caller's text in a message

---Cuts at a border of UTF-8 characters.
---@param bytes string
---@param limit integer
---@return string
function text.cut(bytes, limit)
  if #bytes <= limit then return bytes end
  local last = limit
  while last > 0 and (bytes:byte(last + 1) or 0) >= 0x80 and bytes:byte(last + 1) < 0xC0 do
    last = last - 1
  end
  return bytes:sub(1, last)
end

-- RFC 3629, 4.
local CHARACTERS = { "^[%z\1-\127]+", "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]",
  "^[\225-\236\238\239][\128-\191][\128-\191]", "^\237[\128-\159][\128-\191]",
  "^\240[\144-\191][\128-\191][\128-\191]", "^[\241-\243][\128-\191][\128-\191][\128-\191]",
  "^\244[\128-\143][\128-\191][\128-\191]" }

local function end_of_character(bytes, at)
  for _, pattern in ipairs(CHARACTERS) do
    local _, last = bytes:find(pattern, at)
    if last then return last end
  end
end

---@param bytes string
---@return boolean
function text.is_utf8(bytes)
  local last = 0
  while last and last < #bytes do last = end_of_character(bytes, last + 1) end
  return last ~= nil
end

---An item's name for people; nil: it has none.
---@param step table
---@param item any
---@param index integer
---@return string?
function text.label(step, item, index)
  local label = item
  if step.label then label = step.label(item, index)
  elseif type(item) == "table" then label = item.title or item.name end
  if type(label) ~= "string" and type(label) ~= "number" then return nil end
  return text.cut(tostring(label), LABEL_MAX)
end

---"sections 3/7: Memory order (second draft)"
---@param now { name: string, index: integer?, total: integer?, label: string? }
---@param remark string?
---@return string
function text.current_step(now, remark)
  local said = now.name
  if now.index then said = ("%s %d/%d"):format(said, now.index, now.total) end
  if now.label then said = said .. ": " .. now.label end
  if remark then said = said .. (now.label and " (" .. remark .. ")" or ": " .. remark) end
  return text.cut(said, STEP_MAX)
end

---Of several items at a time: "sections 2/7 done, working on Memory order and 2 more"
---@param now { name: string, index: integer, total: integer, label: string? }
---@param done integer
---@param others integer how many more are under way
---@param remark string?
---@return string
function text.parallel_step(now, done, others, remark)
  local said = ("%s %d/%d done, working on %s"):format(now.name, done, now.total,
    now.label or "number " .. now.index)
  if remark then said = said .. " (" .. remark .. ")" end
  if others > 0 then said = ("%s and %d more"):format(said, others) end
  return text.cut(said, STEP_MAX)
end

---"sections[3] Memory order: rate limited"
---@param now { name: string, index: integer?, label: string? }?
---@param message string
---@return string
function text.failure(now, message)
  local where = now and now.name or "start"
  if now and now.index then where = ("%s[%d]"):format(where, now.index) end
  if now and now.label then where = where .. " " .. now.label end
  return where .. ": " .. message
end

-- Of a file, of a text that was loaded, and of a block in nginx's configuration.
local PLACES = { "^[^\n:]*%.lua:%d+: ", '^%[string ".-"%]:%d+: ', "^[%l_]+_by_lua%b():%d+: " }

---What was raised as it shows itself; a value may be unable to.
---@param raised any
---@return string
function text.shown(raised)
  local done, said = pcall(tostring, raised)
  return done and said or "an error that cannot be shown"
end

---A value that was given where another was wanted, as it would stand in a program.
---@param value any
---@return string
function text.given(value)
  if type(value) == "string" then
    local cut = text.cut(value, GIVEN_MAX)
    return ("%q"):format(cut == value and value or cut .. "...")
  end
  if type(value) == "table" and next(value) == nil then return "an empty table" end
  return type(value) == "number" and tostring(value) or type(value)
end

local function message_in(raised) return type(raised) == "table" and raised.message or nil end

---What was raised, in words: without the place in the program that Lua puts before
---it, which is nobody's business on the web.
---@param raised any
---@return string
function text.message(raised)
  local done, message = pcall(message_in, raised)
  local said = text.shown(done and message or raised)
  for _, place in ipairs(PLACES) do said = said:gsub(place, "") end
  return said
end

return text
