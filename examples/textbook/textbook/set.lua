-- set: a table of the words in a text, for lists of words in the code.

---@param text string words with spaces between them
---@return table<string, true>
local function set(text)
  local members = {}
  for word in text:gmatch("%S+") do members[word] = true end
  return members
end

return set
