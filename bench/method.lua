-- wrk -s method.lua URL -- METHOD: the same request every time, with another method than GET.
function init(args)
  wrk.method = args[1]
end
