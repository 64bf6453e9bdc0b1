// go.mod - the judge of histories, apart from the product on purpose: it shares no code with it.
module judge

go 1.22

require github.com/anishathalye/porcupine v1.3.1
